// The parts of earlier shots that a shot is steered by.

import { fill, h, icon } from "../common/dom.js";
import { KINDS, STEERINGS, steeredParts } from "../common/steering.js";

/**
 * The steered parts of earlier shots; a click removes the steering.
 * @param {HTMLElement} row
 * @param {Shot} shot
 * @param {Shot[]} earlier
 * @param {(kind: Steering, target: string) => unknown} toggle
 */
export function fillChips(row, shot, earlier, toggle) {
  const chips = STEERINGS.flatMap((kind) =>
    steeredParts(shot, kind).map(({ target, id, part }) => {
      const index = earlier.findIndex((other) => other.id === id);
      const source = index < 0 ? "a shot that is not earlier" : `shot ${index + 1}`;
      const props = { type: "button", class: "chip", onclick: () => toggle(kind, target), title: "Remove" };
      return h("button", props, `${KINDS[kind].past}: ${part} in ${source}`, icon("close"));
    }),
  );
  fill(row, chips);
}
