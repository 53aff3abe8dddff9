// Pointing at the picture in the player, while the routing inspector is open: objects are outlined, a click asks
// what the object looked at; where a model's tokens are a grid, the heat lies over the picture.

import { get } from "./api.js";
import { h } from "./dom.js";
import { current, on, select, shotAt, view } from "./store.js";

let layer;
let asked = "";
const heats = new Map(); // by moment and column
let lit = "";
let grid = null; // rows and columns of tokens over the picture, where they lie so

export function point(looked) {
  layer = h("div", { class: "pointing", "aria-label": "Parts of the picture" });
  layer.addEventListener("click", (event) => pick(event, looked));
  document.querySelector("#player .stage").append(layer);
  on("playhead selection inspecting project", outline);
}

// The moment of its take that the player shows.
function moment() {
  const shot = shotAt(view.playhead);
  if (!view.inspecting || !shot?.take || view.playing) return null;
  return { project: view.project.id, shot, take: shot.take, seconds: Math.max(0, view.playhead - shot.begins + shot.trim) };
}

const keyOf = (at) => `${at.project} ${at.take} ${at.seconds.toFixed(2)}`;
const path = ({ project, take }, rest) => `/projects/${project}/takes/${take}/routing/${rest}`;

async function outline() {
  const at = moment();
  layer.hidden = !at;
  const key = at ? keyOf(at) : "";
  if (key === asked) return;
  asked = key;
  heats.clear();
  layer.replaceChildren();
  if (!at) return;
  const found = await get(path(at, `moment?seconds=${at.seconds.toFixed(3)}`)).catch(() => null);
  if (asked !== key || !found) return;
  grid = found.grid;
  layer.replaceChildren(
    ...found.parts.map((part) => {
      const [left, top, right, bottom] = part.box;
      const whole = right - left > 0.99 && bottom - top > 0.99;
      return h("div", { class: `part ${whole ? "whole" : ""}`, style: { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` } }, h("span", {}, part.name));
    }),
  );
}

async function pick(event, looked) {
  const at = moment();
  if (!at) return;
  event.stopPropagation();
  const frame = layer.getBoundingClientRect();
  const [x, y] = [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height].map((share) => Math.max(0, Math.min(1, share)));
  const where = `seconds=${at.seconds.toFixed(3)}&x=${x.toFixed(4)}&y=${y.toFixed(4)}`;
  if (current()?.id !== at.shot.id) select([at.shot.id]);
  await looked(async () => {
    const found = await get(path(at, `point?${where}`));
    if (keyOf(at) === asked) mark(found.box);
    return { ...found, light: grid ? (item) => heat(at, item) : null };
  });
}

function mark(box) {
  layer.querySelector(".picked")?.remove();
  if (!box) return;
  const [left, top, right, bottom] = box;
  layer.append(h("div", { class: "picked", style: { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` } }));
}

// How much each place of a grid drew from a chunk, as light over the picture.
async function heat(at, item) {
  const key = keyOf(at);
  const own = (lit = `${key} ${item.column}`);
  if (!heats.has(own)) heats.set(own, get(path(at, `heat?seconds=${at.seconds.toFixed(3)}&column=${item.column}`)).catch(() => null));
  const rows = await heats.get(own);
  if (own !== lit || key !== asked) return; // something else is pointed at, or shown
  layer.querySelector(".heat")?.remove();
  if (!rows) return heats.delete(own);
  const canvas = h("canvas", { class: "heat", width: rows[0].length, height: rows.length });
  const most = Math.max(...rows.flat(), 1e-9);
  const paint = canvas.getContext("2d");
  rows.forEach((row, y) =>
    row.forEach((share, x) => {
      paint.fillStyle = `rgba(255, 140, 50, ${0.75 * (share / most)})`;
      paint.fillRect(x, y, 1, 1);
    }),
  );
  layer.append(canvas);
}
