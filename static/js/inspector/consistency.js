// Consistency: how far looks are from what they should be, why, and a fix for those that differ.

import { get } from "../common/api.js";
import { button, h } from "../common/dom.js";
import { drawFigure } from "../common/figures.js";
import { select, shotById, shotIndex } from "../common/state.js";
import { onlyAppearance } from "../common/steering.js";
import { renderAndCompare } from "../takes/render-and-compare.js";

/**
 * @param {string} project
 * @returns {Promise<View>}
 */
export async function consistency(project) {
  const found = await get(`/projects/${project}/consistency`);
  if (!found.names.length) {
    const words =
      "No cast member appears in two rendered shots yet. This view shows whether they keep their look.";
    return { elements: [h("p", { class: "quiet" }, words)] };
  }
  const label = "Distance of each look from what it should be";
  const plot = h("div", { class: "plot", role: "img", "aria-label": label });
  const quiet = (/** @type {string} */ words) => h("p", { class: "quiet" }, words);
  const elements = [
    quiet(
      "Distance of every cast member and set from the look it should have: the look in its first appearance, or in " +
        "the last caption that changed it. Above the dotted line the difference is easy to see.",
    ),
  ];
  if (found.by_features) {
    elements.push(
      quiet(
        "Measured by the model's own features where it attends to a name. The line was measured for the embedded " +
          "model only.",
      ),
    );
  }
  elements.push(plot, ...found.drifted.map((/** @type {Drift} */ drift) => driftCard(drift, found.helped)));
  if (!found.drifted.length) elements.push(h("p", { class: "summary" }, "Every look is consistent."));
  if (found.unseen) elements.push(quiet(`${found.unseen} takes have no data on looks.`));
  return { elements, draw: () => drawFigure(plot, found.figure, { height: 300, name: "consistency" }) };
}

/**
 * @param {Drift} drift
 * @param {[fixed: number, tried: number] | null} helped
 */
function driftCard(drift, helped) {
  const shot = shotById(drift.shot);
  return h(
    "div",
    { class: "drift" },
    h(
      "button",
      { type: "button", class: "link", onclick: () => select([drift.shot]) },
      `Shot ${shotIndex(drift.shot) + 1}: ${drift.name} looks different`,
    ),
    h("span", { class: "quiet" }, drift.reason),
    shot && !shot.lock && drift.pin && fixButton(shot, drift.pin, drift.bans, helped),
  );
}

/**
 * @param {Shot} shot
 * @param {string} pin
 * @param {string[]} bans
 * @param {[fixed: number, tried: number] | null} helped
 */
function fixButton(shot, pin, bans, helped) {
  const fix = () => {
    select([shot.id]);
    renderAndCompare(shot, onlyAppearance(shot, { pin, bans }));
  };
  const how = pin.includes("/")
    ? "Pin the right look and ban the others"
    : "Pin the shot with the right look";
  const title = `${how}, render this shot at the same seed, and show both takes`;
  const odds = helped && `fixed ${helped[0]} of ${helped[1]} when tried on other films`;
  return h(
    "span",
    { class: "row" },
    button("Fix and compare", fix, { title }),
    h("span", { class: "quiet" }, odds),
  );
}
