// The status of a shot: what is shown of it by icon, word and colour.

import { activeJob, failedJob, shownTake } from "../common/state.js";

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
  failed: "failed",
  frameless: "needs a first frame",
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
  failed: "warn",
  frameless: "warn",
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
  if (shot.due && shot.needs_first_frame) return "frameless";
  if ((shot.due || (shot.state === "outdated" && !shot.lock)) && failedJob(shot.id)) return "failed";
  if (shot.state === "unwritten" || shot.state === "missing") return shot.state;
  if (shot.lock) return "locked";
  return shot.due ? "due" : /** @type {Status} */ (shot.state);
}

/** @param {Shot} shot */
export function statusWords(shot) {
  const status = statusOf(shot);
  const job = activeJob(shot.id);
  if (status === "running" && job?.steps) return `rendering ${Math.round((100 * job.step) / job.steps)}%`;
  if (status === "failed") return `failed: ${failedJob(shot.id)?.error ?? "the worker was lost"}`;
  if (status === "missing" && shownTake(shot)) return "draft only";
  return status === "locked" && shot.state === "outdated" ? "locked, outdated" : WORDS[status];
}
