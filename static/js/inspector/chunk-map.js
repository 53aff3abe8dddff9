// The chunk map of a shot: what each part of it attended to, by layer, heads and steps.

import { get } from "../common/api.js";
import { button, h } from "../common/dom.js";
import { drawFigure } from "../common/figures.js";
import { shotIndex, shots } from "../common/state.js";
import { renderAndCompare } from "../takes/render-and-compare.js";
import { steeringButtons } from "./attention-list.js";
import { query, selection } from "./selection.js";

/**
 * @typedef {object} Context
 * @property {string} project
 * @property {Shot} shot
 * @property {string} take
 * @property {HTMLElement} list holds what a part attended to
 * @property {() => unknown} redraw
 * @property {() => unknown} reread
 * @property {(read: () => Promise<Attention>) => unknown} showAttention
 */

/**
 * @param {Context} context
 * @returns {Promise<View>}
 */
export async function chunkMap(context) {
  const { project, shot, take, list, redraw, showAttention } = context;
  const path = `/projects/${project}/takes/${take}/routing`;
  const found = await get(`${path}?${query()}`);
  const plot = h("div", {
    class: "plot",
    role: "img",
    "aria-label": "What each part of the shot attended to",
  });
  const scale = selection.logarithmic ? "Logarithmic" : "Linear";
  const toggleScale = () => {
    selection.logarithmic = !selection.logarithmic;
    redraw();
  };
  const compare = () => renderAndCompare(shot);
  const elements = [
    h("p", { class: "summary" }, h("strong", {}, `Shot ${shotIndex(shot.id) + 1}. `), found.words),
    ...(found.backend ? [h("p", { class: "quiet" }, found.backend)] : []),
    list,
    h(
      "div",
      { class: "fields" },
      chooser("layer", "Layer", found.layers, context),
      chooser("head", "Heads", found.heads, context),
      chooser("group", "Steps", found.groups, context),
    ),
    h(
      "div",
      { class: "row" },
      button(scale, toggleScale, {
        "aria-pressed": String(selection.logarithmic),
        title: "Scale of the map; click to change it",
      }),
      sourceButtons(redraw),
    ),
    plot,
  ];
  if (shot.reason_codes.includes("steering")) {
    const title = "Render this shot at the same seed with the steering as it is now, and show both takes";
    elements.splice(-1, 0, button("Render and compare", compare, { class: "primary", title }));
  }
  const clicked = (/** @type {number} */ row) => showAttention(() => get(`${path}/parts/${row}?${query()}`));
  const height = Math.min(640, 120 + 26 * found.query.length);
  return { elements, draw: () => drawFigure(plot, found.figure, { height, clicked, name: "routing" }) };
}

/**
 * @param {"layer" | "head" | "group"} name
 * @param {string} label
 * @param {string[]} options
 * @param {Context} context
 */
function chooser(name, label, options, { redraw, reread }) {
  const select = h(
    "select",
    {},
    h("option", { value: "" }, "average"),
    options.map((option, index) => {
      const value = String(index);
      return h("option", { value, selected: value === selection[name] }, option);
    }),
  );
  select.addEventListener("change", () => {
    selection[name] = select.value;
    redraw();
    reread();
  });
  return h("label", { class: "field" }, h("span", {}, label), select);
}

/** What steers and removes the choice of one source shot. @param {() => unknown} redraw */
function sourceButtons(redraw) {
  if (!selection.source) return [];
  const source = shots().find((other) => other.take === selection.source);
  const name = source ? `shot ${shotIndex(source.id) + 1}` : "one take";
  const clear = () => {
    selection.source = null;
    redraw();
  };
  return [
    button(`Only ${name} ×`, clear, { title: "Show everything that was attended to" }),
    source && steeringButtons(source.id, name),
  ];
}
