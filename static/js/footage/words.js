// What is said of footage and of the job that reads it.

import { duration } from "../common/format.js";

/** The page of the studio, in the theme that is shown. */
export const studioAddress = () => `/${location.search}`;

/** @param {Job | null} job */
export const isActive = (job) => job !== null && ["queued", "running"].includes(job.state);

/** What the job that reads a video does now, or why it ended. @param {Job | null} job */
export function jobWords(job) {
  if (!job) return "It has not been read yet.";
  if (job.state === "queued") return "Waiting in the queue.";
  if (job.state === "running") {
    const share = job.steps ? ` ${Math.min(100, Math.floor((100 * job.step) / job.steps))}%` : "";
    const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
    return `${STAGES[job.stage ?? ""] ?? "Starting"}${share}${left}`;
  }
  if (job.state === "cancelled") return "Reading it was cancelled.";
  return job.error ?? "Reading it came to no end.";
}

/** @type {Record<string, string>} */
const STAGES = { preview: "Reading the video", cuts: "Finding cuts" };

/** @param {number} seconds */
export function length(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (!hours && !minutes) return `${Number(seconds.toFixed(1))} s`;
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest} h` : `${minutes}:${rest} min`;
}
