// The story map: the share of its attention that each shot gave to each earlier one.

import { get } from "../common/api.js";
import { h } from "../common/dom.js";
import { drawFigure } from "../common/figures.js";
import { page, seek, select, shotAt, shots } from "../common/state.js";
import { selection } from "./selection.js";

const STRONGEST = 3; // links that are named

/**
 * @param {string} project
 * @param {(view: "shot") => void} showView
 * @returns {Promise<View>}
 */
export async function storyMap(project, showView) {
  if (!shots().some((shot) => shot.take)) {
    const words = "No shot is rendered yet. This map shows which shots drew on which earlier ones.";
    return { elements: [h("p", { class: "quiet" }, words)] };
  }
  const { figure, rows, full } = await get(`/projects/${project}/routing`);
  const plot = h("div", { class: "plot", role: "img", "aria-label": "Attention of shots to earlier shots" });
  const openPair = (/** @type {number} */ row, /** @type {number} */ column) => {
    const [shot, source] = [shots()[row], shots()[column]];
    if (!shot?.take) return;
    selection.source = row === column ? null : source.take;
    select([shot.id]);
    if (shotAt(page.playhead) !== shot && !shot.skip) seek(shot.begins + shot.seconds / 2);
    showView("shot");
  };
  return {
    elements: [
      h(
        "p",
        { class: "quiet" },
        "How much of its attention each shot gave to earlier ones. Click a square to see the details.",
      ),
      plot,
      h("ul", { class: "reasons" }, strongest(rows)),
      ...(full.length ? [h("p", { class: "quiet" }, inFull(full))] : []),
    ],
    draw: () =>
      drawFigure(plot, figure, {
        height: Math.min(560, Math.max(260, 90 + 34 * rows.length)),
        clicked: openPair,
        name: "story-map",
      }),
  };
}

/** @param {number[]} full indices of shots */
function inFull(full) {
  const numbers = full.map((index) => index + 1).join(", ");
  return `Attended in full, without routing: shot${full.length > 1 ? "s" : ""} ${numbers}.`;
}

/** @param {{ index: number, shares: (number | null)[] }[]} rows */
function strongest(rows) {
  const links = rows.flatMap(({ index: shot, shares }) =>
    shares.map((share, source) => ({ share: share ?? 0, shot, source })),
  );
  const named = links
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share)
    .slice(0, STRONGEST);
  return named.map(({ share, shot, source }) => {
    const caption = shots()[source]?.caption ?? "";
    return h(
      "li",
      {},
      `Shot ${shot + 1} gave ${(100 * share).toFixed(0)}% to shot ${source + 1}: ${caption}`,
    );
  });
}
