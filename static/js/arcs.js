// Arcs over the timeline: which earlier shots the selected one drew on, the thicker the more.

import { percent } from "./dom.js";
import { lane } from "./layout.js";
import { current, on, shots } from "./store.js";

const HEIGHT = 30; // px
const THICKEST = 9; // px

const svg = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

let shown = localStorage.getItem("arcs") !== "off";

export function mountArcs(box) {
  const draw = () => drawArcs(box);
  on("project selection timeline arcs", draw);
}

export function toggleArcs() {
  shown = !shown;
  localStorage.setItem("arcs", shown ? "on" : "off");
}

function drawArcs(box) {
  const shot = current();
  const take = shot?.takes.find((candidate) => candidate.id === shot.take);
  const links = shown ? (take?.context ?? []).filter(([place, share]) => place !== null && share >= 0.005) : [];
  const middle = (place) => lane.places[place].left + lane.places[place].width / 2;
  const at = shots().indexOf(shot);
  box.replaceChildren(
    ...links.filter(([place]) => lane.places[place] && lane.places[at]).map(([place, share]) => {
      const [from, to] = [middle(at), middle(place)];
      const arc = svg("path", { d: `M${from},${HEIGHT} C${from},2 ${to},2 ${to},${HEIGHT}`, "stroke-width": Math.max(1, THICKEST * share) });
      const title = svg("title", {});
      title.textContent = `Shot ${at + 1} drew ${percent(share)} of its context from shot ${place + 1}`;
      arc.append(title);
      return arc;
    }),
  );
}
