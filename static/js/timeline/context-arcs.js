// Arcs over the timeline: the earlier shots that the selected one drew on, the thicker the more.

import { svg } from "../common/dom.js";
import { percent } from "../common/format.js";
import { chosenTake, publish, selectedShot, shotIndex, subscribe } from "../common/state.js";
import { lane } from "./layout.js";

const HEIGHT = 30; // px
const THICKEST = 9; // px
const LEAST_SHARE = 0.005;

let shown = localStorage.getItem("arcs") !== "off";

/** @param {Element} element */
export function mountArcs(element) {
  subscribe("project selection timeline arcs", () => drawArcs(element));
}

export function toggleArcs() {
  shown = !shown;
  localStorage.setItem("arcs", shown ? "on" : "off");
  publish("arcs");
}

/** @param {Element} element */
function drawArcs(element) {
  const shot = selectedShot();
  const to = shotIndex(shot?.id);
  const target = lane.boxes[to];
  const context = shown && target ? (chosenTake(shot)?.context ?? []) : [];
  const arcs = context.flatMap(([from, share]) => {
    const source = from === null ? null : lane.boxes[from];
    if (from === null || !source || share < LEAST_SHARE) return [];
    const [x1, x2] = [target, source].map((box) => box.left + box.width / 2);
    const arc = svg("path", {
      d: `M${x1},${HEIGHT} C${x1},2 ${x2},2 ${x2},${HEIGHT}`,
      "stroke-width": Math.max(1, THICKEST * share),
    });
    const title = svg("title");
    title.textContent = `Shot ${to + 1} drew ${percent(share)} of its context from shot ${from + 1}`;
    arc.append(title);
    return [arc];
  });
  element.replaceChildren(...arcs);
}
