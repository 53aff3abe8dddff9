// Captions below the clips, written in place (see typing.js).

import { h, underlined } from "./dom.js";
import { current, seek, select, shotOf, tell, view } from "./store.js";

let typing = null; // loaded when somebody first writes

export async function editCaption(id = current()?.id) {
  if (!id) return;
  typing ??= (await import("./typing.js")).typing;
  view.editing = id;
  tell("timeline");
  const field = document.querySelector(".caption.editing textarea");
  field?.focus();
  field?.select();
}

export function makeCaption({ shot }) {
  const id = shot.id;
  return h("div", { class: "caption", onclick: () => (select([id]), seek(shotOf(id).begins), editCaption(id)) });
}

export function updateCaption(box, { shot, place }) {
  Object.assign(box.style, { left: `${place.left}px`, width: `${place.width}px` });
  const editing = view.editing === shot.id;
  box.classList.toggle("editing", editing);
  box.classList.toggle("skip", shot.skip);
  if (editing) {
    if (!box.querySelector("textarea")) typing(box, shot);
    return;
  }
  const key = JSON.stringify([shot.caption, shot.unknown]);
  if (box.dataset.text === key && !box.querySelector("textarea")) return;
  box.dataset.text = key;
  box.replaceChildren(...(shot.caption ? underlined(shot.caption, shot.unknown) : [h("span", { class: "quiet" }, "Write what happens…")]));
}
