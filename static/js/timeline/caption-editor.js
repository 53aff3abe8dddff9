// The field in which a caption is written; words the model does not know are underlined while they are typed.

import { post } from "../common/api.js";
import { sendEdit } from "../common/commands.js";
import { fill, h } from "../common/dom.js";
import {
  isOpen,
  openProjectState,
  page,
  publish,
  select,
  shotById,
  shotIndex,
  shots,
} from "../common/state.js";
import { underlined } from "../common/unknown-words.js";
import { editCaption } from "./captions.js";

const MOST_LETTERS = 2000;

/**
 * Enter and leaving the field save the caption, Escape restores it, Tab goes on to the next one. A caption that is
 * refused stays in the field.
 * @param {HTMLElement} element
 * @param {Shot} shot
 * @param {string} text to begin with
 */
export function openEditor(element, shot, text = shot.caption) {
  const project = openProjectState().id;
  const underlines = h("div", { class: "caption-underlines", "aria-hidden": "true" });
  const field = h("textarea", {
    value: text,
    "aria-label": `Caption of shot ${shotIndex(shot.id) + 1}`,
    spellcheck: false,
    maxLength: MOST_LETTERS,
  });
  let checks = 0;
  const check = async () => {
    const number = ++checks;
    fill(underlines, field.value);
    const spans = await post(`/projects/${project}/unknown`, { text: field.value }).catch(() => []);
    if (number === checks) fill(underlines, underlined(field.value, spans));
  };
  let closed = false;
  let refused = false;
  const close = async (/** @type {boolean} */ save) => {
    if (closed) return;
    closed = true;
    if (!isOpen(project)) return;
    const caption = field.value.trim().replace(/\s+/g, " ");
    const changed = save && caption !== shotById(shot.id)?.caption;
    field.readOnly = true; // what is typed now would be lost when the answer closes the field
    if (changed && !(await sendEdit({ op: "caption", shot: shot.id, caption }))) {
      refused = true;
      closed = false;
      field.readOnly = false;
      return;
    }
    if (page.editing === shot.id) page.editing = null;
    element.dataset.text = "";
    publish("timeline");
  };
  const closeToTimeline = async (/** @type {boolean} */ save) => {
    await close(save);
    const timeline = document.querySelector(".timeline");
    if (timeline instanceof HTMLElement) timeline.focus();
  };
  const closeToNext = async (/** @type {Shot} */ next) => {
    await close(true);
    select([next.id]);
    editCaption(next.id);
  };
  field.addEventListener("input", check);
  field.addEventListener("blur", () => {
    if (!refused) close(true);
  });
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      closeToTimeline(true);
    } else if (event.key === "Escape") {
      closeToTimeline(false);
    } else if (event.key === "Tab") {
      const next = shots()[shotIndex(shot.id) + (event.shiftKey ? -1 : 1)];
      if (!next) return;
      event.preventDefault();
      closeToNext(next);
    }
  });
  fill(element, underlines, field);
  check();
}
