// The field in which a caption is written; words the model does not know are underlined while they are typed.

import { post } from "./api.js";
import { h, underlined } from "./dom.js";
import { edit, isOpen, select, shotOf, shots, tell, view } from "./store.js";
import { editCaption } from "./writing.js";

const timeline = () => document.querySelector(".timeline");

export function typing(box, shot) {
  const below = h("div", { class: "typed", "aria-hidden": "true" });
  const field = h("textarea", { value: shot.caption, "aria-label": `Caption of shot ${shots().indexOf(shot) + 1}`, spellcheck: false, maxLength: 2000 });
  const project = view.project.id;
  let asked = 0;
  const check = async () => {
    const turn = ++asked;
    below.replaceChildren(field.value);
    const spans = await post(`/projects/${project}/unknown`, { text: field.value }).catch(() => []);
    if (turn === asked) below.replaceChildren(...underlined(field.value, spans));
  };
  let over = false;
  let refused = false;
  const close = async (keep) => {
    if (over) return;
    over = true;
    if (!isOpen(project)) return;
    const text = field.value.trim().replace(/\s+/g, " ");
    if (keep && text !== shotOf(shot.id)?.caption && !(await edit({ op: "caption", shot: shot.id, caption: text }))) {
      refused = true; // what was typed stays, until it is confirmed again or given up
      over = false;
      return;
    }
    if (view.editing === shot.id) view.editing = null;
    box.dataset.text = "";
    tell("timeline");
  };
  field.addEventListener("input", check);
  field.addEventListener("blur", () => refused || close(true));
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      close(true).then(() => timeline().focus());
    } else if (event.key === "Escape") close(false).then(() => timeline().focus());
    else if (event.key === "Tab") {
      const list = shots();
      const next = list[list.findIndex((other) => other.id === shot.id) + (event.shiftKey ? -1 : 1)];
      if (!next) return;
      event.preventDefault();
      close(true).then(() => (select([next.id]), editCaption(next.id)));
    }
  });
  box.replaceChildren(below, field);
  check();
}
