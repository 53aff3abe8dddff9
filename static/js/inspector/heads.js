// Layers and heads of a take: which look back, how far, and at which steps.

import { get } from "../common/api.js";
import { h } from "../common/dom.js";
import { drawFigure } from "../common/figures.js";
import { shotIndex } from "../common/state.js";

/**
 * @param {string} project
 * @param {Shot} shot
 * @param {string} take
 * @returns {Promise<View>}
 */
export async function heads(project, shot, take) {
  const found = await get(`/projects/${project}/takes/${take}/routing/heads`);
  const figures = Object.entries(found).map(([title, figure]) => ({
    title,
    figure,
    plot: h("div", { class: "plot", role: "img", "aria-label": title }),
    name: title.split(":")[0].toLowerCase().replaceAll(/[ ,]+/g, "-"),
  }));
  const number = h("strong", {}, `Shot ${shotIndex(shot.id) + 1}. `);
  return {
    elements: [
      h("p", { class: "summary" }, number, "Which heads look back, how far, and when."),
      ...figures.flatMap(({ title, plot }) => [h("h4", {}, title), plot]),
    ],
    draw: () =>
      Promise.all(figures.map(({ figure, plot, name }) => drawFigure(plot, figure, { height: 230, name }))),
  };
}
