// What the menu of what to render says of several workers: the waves that run side by side, and the time.

import { h } from "../common/dom.js";
import { counted, duration } from "../common/format.js";
import { menuLine } from "../common/menu.js";

/**
 * Which renders can run side by side, and the time that several workers take.
 * @param {RenderSchedule} schedule
 */
export function sideBySide(schedule) {
  const { waves, renders, times, time_known, context, workers, seen, to_see } = schedule;
  if (renders.length < 2) return [];
  if (waves.length === renders.length)
    return [menuLine("One after the other: each of them waits for a shot before it.")];
  const told =
    waves.length === 1
      ? [menuLine("With several workers all of them run side by side: none waits for another.")]
      : [
          menuLine("With several workers, side by side in waves:"),
          h(
            "ol",
            { class: "plan waves" },
            waves.map((wave) => h("li", {}, shotNumbers(wave))),
          ),
        ];
  if (time_known) {
    const cells = times.map(({ workers, seconds }) =>
      h("span", {}, h("strong", {}, `~${duration(seconds)}`), ` ${counted(workers, "worker")}`),
    );
    told.push(h("p", { class: "plan-times" }, cells));
  }
  if (context === "finished" && seen < to_see) {
    const share = Math.round((100 * seen) / to_see);
    told.push(
      menuLine(
        `With ${counted(workers, "worker")} shots see ${share}% of what they see one after the other.`,
      ),
    );
  }
  return told;
}

/**
 * "Shot 2", "Shots 1–4, 7", from ascending indices.
 * @param {number[]} indices
 */
function shotNumbers(indices) {
  /** @type {[first: number, last: number][]} */
  const runs = [];
  for (const index of indices) {
    const run = runs.at(-1);
    if (run && index === run[1] + 1) run[1] = index;
    else runs.push([index, index]);
  }
  const parts = runs.map(([first, last]) => (first === last ? `${first + 1}` : `${first + 1}–${last + 1}`));
  return `${indices.length === 1 ? "Shot" : "Shots"} ${parts.join(", ")}`;
}
