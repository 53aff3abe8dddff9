// Where shots lie on the timeline: seconds of the cut as pixels, and back.

import { shots } from "../common/state.js";

export const SKIPPED_WIDTH = 30; // px
export const LEAST_SCALE = 8; // px per second
export const MOST_SCALE = 240;

/** @typedef {{ id: string, left: number, width: number, begins: number, seconds: number, skip: boolean }} ShotBox */

export const lane = {
  element: document.createElement("div"), // holds the clips
  marker: document.createElement("div"), // shows where what is dragged would be dropped
  scale: 60, // px per second
  boxes: /** @type {ShotBox[]} */ ([]), // in the order of the shots
  gesture: /** @type {{ edit: Edit | null } | null} */ (null), // what a drag would do if it ended now
};

/** Lays the shots out; returns the width in pixels. */
export function layOutShots() {
  let left = 0;
  lane.boxes = shots().map(({ id, begins, seconds, skip }) => {
    const width = skip ? SKIPPED_WIDTH : Math.max(seconds * lane.scale, 12);
    const box = { id, left, width, begins, seconds: skip ? 0 : seconds, skip };
    left += width;
    return box;
  });
  return left;
}

/** @param {string | undefined} id */
export const boxOf = (id) => lane.boxes.find((box) => box.id === id);

/** @param {number} seconds */
export function xAtTime(seconds) {
  const box = lane.boxes.findLast((other) => !other.skip && other.begins <= seconds + 1e-6);
  if (!box) return 0;
  return box.left + Math.min(1, (seconds - box.begins) / box.seconds) * box.width;
}

/** @param {number} x */
export function timeAtX(x) {
  const box = lane.boxes.find((other) => x < other.left + other.width) ?? lane.boxes.at(-1);
  if (!box) return 0;
  if (box.skip) return box.begins;
  return box.begins + Math.max(0, Math.min(1, (x - box.left) / box.width)) * box.seconds;
}

/** @param {MouseEvent} event */
export const xInLane = (event) => event.clientX - lane.element.getBoundingClientRect().left;
