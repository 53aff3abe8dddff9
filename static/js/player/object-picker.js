// Picking objects in the picture while the routing inspector is open: objects are outlined, a click asks what the
// object attended to. Where a model's tokens form a grid, a heat map of the attention lies over the picture.

import { get } from "../common/api.js";
import { boxStyle, fill, h } from "../common/dom.js";
import { openProjectState, page, select, selectedShot, shotAt, subscribe } from "../common/state.js";

/** @typedef {{ project: string, shot: Shot, take: string, seconds: number }} Moment of a take that is seen */

const layer = h("div", { class: "picker", "aria-label": "Objects in the picture" });
let asked = ""; // key of the moment whose objects are outlined
let hasGrid = false;
let heat = ""; // key of the heat map that is wanted
const heatMaps = new Map(); // requests of this moment, by key

/** Lets a click on the picture show what was attended to. @param {(read: () => Promise<Attention>) => unknown} show */
export function mountPicker(show) {
  layer.addEventListener("click", (event) => pick(event, show));
  document.querySelector("#player .stage")?.append(layer);
  subscribe("playhead selection inspecting project", outline);
}

/** @returns {Moment | null} */
function momentSeen() {
  const shot = shotAt(page.playhead);
  if (!page.inspecting || !shot?.take || page.playing) return null;
  const seconds = Math.max(0, page.playhead - shot.begins + shot.trim);
  return { project: openProjectState().id, shot, take: shot.take, seconds };
}

/** @param {Moment} moment */
const keyOf = ({ project, take, seconds }) => `${project} ${take} ${seconds.toFixed(2)}`;

/**
 * @param {Moment} moment
 * @param {string} route
 * @param {Record<string, string>} query
 */
function read({ project, take, seconds }, route, query = {}) {
  const values = new URLSearchParams({ seconds: seconds.toFixed(3), ...query });
  return get(`/projects/${project}/takes/${take}/routing/${route}?${values}`);
}

async function outline() {
  const moment = momentSeen();
  layer.hidden = !moment;
  const key = moment ? keyOf(moment) : "";
  if (key === asked) return;
  asked = key;
  heatMaps.clear();
  fill(layer);
  if (!moment) return;
  const found = await read(moment, "moment").catch(() => null);
  if (asked !== key || !found) return;
  hasGrid = found.grid !== null;
  fill(
    layer,
    found.parts.map((/** @type {{ name: string, box: Box }} */ { name, box }) => {
      const [left, top, right, bottom] = box;
      const whole = right - left > 0.99 && bottom - top > 0.99;
      return h("div", { class: `part ${whole ? "whole" : ""}`, style: boxStyle(box) }, h("span", {}, name));
    }),
  );
}

/**
 * @param {MouseEvent} event
 * @param {(read: () => Promise<Attention>) => unknown} show
 */
async function pick(event, show) {
  const moment = momentSeen();
  if (!moment) return;
  event.stopPropagation();
  const { left, top, width, height } = layer.getBoundingClientRect();
  const share = (/** @type {number} */ value) => Math.max(0, Math.min(1, value)).toFixed(4);
  const point = { x: share((event.clientX - left) / width), y: share((event.clientY - top) / height) };
  if (selectedShot()?.id !== moment.shot.id) select([moment.shot.id]);
  await show(async () => {
    const found = await read(moment, "point", point);
    if (keyOf(moment) === asked) markPicked(found.box);
    return { ...found, heat: hasGrid ? (/** @type {Attended} */ item) => showHeat(moment, item) : null };
  });
}

/** @param {Box | null} box */
function markPicked(box) {
  layer.querySelector(".picked")?.remove();
  if (box) layer.append(h("div", { class: "picked", style: boxStyle(box) }));
}

/**
 * Lays over the picture how much each part of it drew from a chunk.
 * @param {Moment} moment
 * @param {Attended} item
 */
async function showHeat(moment, item) {
  const key = `${keyOf(moment)} ${item.column}`;
  heat = key;
  const request =
    heatMaps.get(key) ?? read(moment, "heat", { column: String(item.column) }).catch(() => null);
  heatMaps.set(key, request);
  const rows = /** @type {number[][] | null} */ (await request);
  if (heat !== key || keyOf(moment) !== asked) return;
  layer.querySelector(".heat")?.remove();
  if (rows) layer.append(heatCanvas(rows));
  else heatMaps.delete(key);
}

/** @param {number[][]} rows */
function heatCanvas(rows) {
  const canvas = h("canvas", { class: "heat", width: rows[0].length, height: rows.length });
  const context = canvas.getContext("2d");
  const most = Math.max(...rows.flat(), 1e-9);
  for (const [y, row] of rows.entries()) {
    for (const [x, share] of row.entries()) {
      if (!context) continue;
      context.fillStyle = `rgba(255, 140, 50, ${0.75 * (share / most)})`;
      context.fillRect(x, y, 1, 1);
    }
  }
  return canvas;
}
