// Which takes are worked on: drafts of a fast model, or finals.

import { sendEdit } from "../common/commands.js";
import { button, h } from "../common/dom.js";
import { page } from "../common/state.js";

/** Hidden where both are one. */
export function laneSwitch() {
  const make = (/** @type {Lane} */ lane, /** @type {string} */ label, /** @type {string} */ title) =>
    button(label, () => page.project?.lane !== lane && sendEdit({ op: "lane", lane }), { title });
  /** @type {Record<Lane, HTMLButtonElement>} */
  const buttons = {
    draft: make("draft", "Drafts", "Work on drafts: takes of the draft model, fast and rough"),
    final: make(
      "final",
      "Finals",
      "Work on finals: takes of the film's model. The film shows drafts where it has none",
    ),
  };
  const element = h(
    "span",
    { class: "lane-switch", role: "group", "aria-label": "Takes that are worked on", hidden: true },
    buttons.draft,
    buttons.final,
  );
  const update = (/** @type {ProjectState} */ { lane, has_lanes }) => {
    element.hidden = !has_lanes;
    buttons.draft.setAttribute("aria-pressed", String(lane === "draft"));
    buttons.final.setAttribute("aria-pressed", String(lane === "final"));
  };
  return { element, update };
}
