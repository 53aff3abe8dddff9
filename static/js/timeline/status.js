// The status of a shot: what is shown of it by icon, word and colour.

import { activeJob, shownTake } from "../common/state.js";

const WORDS = {
  unwritten: "no caption yet",
  missing: "not rendered yet",
  fresh: "up to date",
  outdated: "slightly outdated",
  due: "outdated",
  locked: "locked",
  skipped: "skipped",
  queued: "waiting",
  running: "rendering",
};
export const ICONS = {
  unwritten: "dots",
  missing: "dots",
  fresh: "check",
  outdated: "clock",
  due: "warn",
  locked: "lock",
  skipped: "skip",
  queued: "clock",
  running: "play",
};

/** @typedef {keyof typeof WORDS} Status */

/**
 * @param {Shot} shot
 * @returns {Status}
 */
export function statusOf(shot) {
  const job = activeJob(shot.id);
  if (job) return /** @type {Status} */ (job.state);
  if (shot.skip) return "skipped";
  if (shot.state === "unwritten" || shot.state === "missing") return shot.state;
  if (shot.lock) return "locked";
  return shot.due ? "due" : /** @type {Status} */ (shot.state);
}

/** @param {Shot} shot */
export function statusWords(shot) {
  const status = statusOf(shot);
  const job = activeJob(shot.id);
  if (status === "running" && job?.steps) return `rendering ${Math.round((100 * job.step) / job.steps)}%`;
  if (status === "missing" && shownTake(shot)) return "draft only";
  return status === "locked" && shot.state === "outdated" ? "locked, outdated" : WORDS[status];
}
