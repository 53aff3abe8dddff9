// Captions below the clips; a click opens the editor in place (caption-editor.js, loaded when first needed).

import { fill, h } from "../common/dom.js";
import { page, publish, seek, select, selectedShot, shotById } from "../common/state.js";
import { underlined } from "../common/unknown-words.js";

/** @type {typeof import("./caption-editor.js").openEditor | null} */
let openEditor = null;

let suggested = ""; // for the caption that is opened next

/**
 * @param {string | undefined} id
 * @param {string} suggestion to begin with, instead of the caption
 */
export async function editCaption(id = selectedShot()?.id, suggestion = "") {
  if (!id) return;
  openEditor ??= (await import("./caption-editor.js")).openEditor;
  suggested = suggestion;
  page.editing = id;
  publish("timeline");
  const field = document.querySelector(".caption.editing textarea");
  if (!(field instanceof HTMLTextAreaElement)) return;
  field.focus();
  field.select();
  if (!suggestion) return;
  field.setSelectionRange(0, 0); // a suggestion is read before it is changed
  field.scrollTop = 0;
}

/** @param {import("./clips.js").Placed} placed */
export function makeCaption({ shot: { id } }) {
  const click = () => {
    const shot = shotById(id);
    if (!shot) return;
    select([id]);
    seek(shot.begins);
    editCaption(id);
  };
  return h("div", { class: "caption", onclick: click });
}

/**
 * @param {HTMLElement} element
 * @param {import("./clips.js").Placed} placed
 */
export function updateCaption(element, { shot, box }) {
  Object.assign(element.style, { left: `${box.left}px`, width: `${box.width}px` });
  const editing = page.editing === shot.id;
  element.classList.toggle("editing", editing);
  element.classList.toggle("skip", shot.skip);
  const edited = element.querySelector("textarea") !== null;
  if (editing) {
    if (!edited) openEditor?.(element, shot, suggested || shot.caption);
    suggested = "";
    return;
  }
  const key = JSON.stringify([shot.caption, shot.unknown]);
  if (element.dataset.text === key && !edited) return;
  element.dataset.text = key;
  const placeholder = h("span", { class: "quiet" }, "Describe what happens…");
  fill(element, shot.caption ? underlined(shot.caption, shot.unknown) : placeholder);
}
