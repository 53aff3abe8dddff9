// How the finals of the film are made from their drafts.

import { h, redraw } from "../common/dom.js";
import { draftUse } from "../common/draft-use.js";
import { start } from "../common/project.js";
import { isOpen, openProjectState, page, subscribe } from "../common/state.js";

/** @param {HTMLElement} element */
export function mount(element) {
  let drawn = "";
  const draw = () => {
    if (!page.project) return;
    const { id, settings, lacks, lane, has_lanes } = page.project;
    const key = JSON.stringify([id, settings, lacks, lane, has_lanes]);
    if (
      key === drawn ||
      (document.activeElement instanceof HTMLInputElement && element.contains(document.activeElement))
    )
      return;
    drawn = key;
    const edit = (/** @type {DraftUse} */ use) =>
      isOpen(id) && { op: "settings", settings: { ...openProjectState().settings, ...use } };
    redraw(
      element,
      id,
      draftUse(settings, edit, lane === "final" ? lacks : {}),
      !has_lanes && h("span", { class: "why-off" }, "No effect: drafts have the model of finals."),
    );
  };
  element.addEventListener("focusout", () => setTimeout(draw));
  subscribe("project", draw);
  start();
}
