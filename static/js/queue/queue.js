// The queue: jobs of all projects that run, wait or ended lately.

import { sendToQueue } from "../common/commands.js";
import { button, fill, h, part, updateList } from "../common/dom.js";
import { footageAddress } from "../common/footage-address.js";
import { duration } from "../common/format.js";
import { start } from "../common/project.js";
import { isOpen, page, select, subscribe } from "../common/state.js";

const STATES = {
  queued: "waiting",
  running: "rendering",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
  parked: "stopped",
};

/** @type {Record<string, string>} */
const STAGES = {
  download: "downloading",
  preview: "reading the video",
  cuts: "finding cuts",
  load: "loading the model",
  memory: "reading earlier takes",
  denoise: "denoising",
  decode: "drawing frames",
  write: "saving",
  keep: "saving",
};

/** Of the steps of a stage. @type {Record<string, string>} */
const UNITS = { download: " MB", preview: " s", cuts: " s" };

/** @param {HTMLElement} element */
export function mount(element) {
  const pause = button("Pause queue", () => sendToQueue("/queue/pause", { paused: !page.queue.paused }));
  const clear = button("Clear finished", () => sendToQueue("/queue/clear"), {
    title: "Remove finished, failed and cancelled jobs from this list; takes are kept",
  });
  const list = h("ol", { class: "queue" });
  const empty = h(
    "p",
    { class: "quiet" },
    "The queue is empty. Renders appear here; they continue when this page is closed.",
  );
  fill(element, h("div", { class: "panel" }, h("div", { class: "row" }, pause, clear), empty, list));
  subscribe("queue project", () => {
    const { jobs, paused } = page.queue;
    empty.hidden = jobs.length > 0;
    part(pause, "span").textContent = paused ? "Resume queue" : "Pause queue";
    pause.setAttribute("aria-pressed", String(paused));
    clear.disabled = jobs.every((job) => ["queued", "running"].includes(job.state));
    const make = () => h("li", { class: "job" });
    updateList(list, jobs, (job) => job.id, make, updateJob);
  });
  start();
}

/**
 * @param {HTMLElement} element
 * @param {Job} job
 */
function updateJob(element, job) {
  const here = isOpen(job.project);
  const waiting = page.queue.jobs.filter((other) => other.state === "queued");
  const before = waiting[waiting.findIndex((other) => other.id === job.id) - 1];
  const key = JSON.stringify([job, here, before?.id]);
  if (element.dataset.drawn === key) return;
  element.dataset.drawn = key;
  element.className = `job is-${job.superseded ? "superseded" : job.state}`;
  const showShot = () => here && job.shot !== null && select([job.shot]);
  fill(
    element,
    job.footage
      ? h("a", { class: "job-name", href: footageAddress(job.footage) }, jobName(job, here))
      : h(
          "button",
          { type: "button", class: "job-name", onclick: showShot, disabled: !here },
          jobName(job, here),
        ),
    job.lane && h("span", { class: "quiet" }, [job.lane, job.model].filter(Boolean).join(" · ")),
    h("span", { class: "job-state" }, `${stateWords(job)}${progressWords(job)}`),
    h("span", { class: "quiet" }, job.error ?? (job.state === "done" ? "" : job.reason)),
    job.state === "running" && job.steps > 0 && h("progress", { max: job.steps, value: job.step }),
    h("div", { class: "row" }, jobButtons(job, before)),
  );
}

/**
 * @param {Job} job
 * @param {boolean} here whether it belongs to the open project
 */
function jobName(job, here) {
  if (job.footage) return `Find the cuts of ${job.title}`;
  if (job.kind === "analysis") return `Read ${job.model}`;
  if (job.kind === "download") return `Download ${job.model}`;
  if (job.kind !== "render") return `Unknown job (${job.kind})`;
  const shot = job.index === null ? "a deleted shot" : `shot ${job.index + 1}`;
  return here ? shot : `${job.title}: ${shot}`;
}

/** @param {Job} job */
function stateWords(job) {
  if (job.superseded && job.state !== "done") return `${STATES[job.state]} earlier`;
  return job.state === "running" && job.kind !== "render" ? "running" : STATES[job.state];
}

/** @param {Job} job */
function progressWords(job) {
  if (job.state === "queued" && job.seconds === 0) return "";
  if (job.state === "queued") return ` · about ${duration(job.seconds)}`;
  if (job.state !== "running") return "";
  const unit = UNITS[job.stage ?? ""] ?? "";
  const steps = job.steps ? ` ${job.step}/${job.steps}${unit}` : "";
  const left = job.seconds_left === null ? "" : ` · ${duration(job.seconds_left)} left`;
  return ` · ${STAGES[job.stage ?? ""] ?? job.stage ?? "starting"}${steps}${left}`;
}

/**
 * @param {Job} job
 * @param {Job | undefined} before the one that waits before it
 */
function jobButtons(job, before) {
  const send = (/** @type {string} */ route, body = {}) => sendToQueue(`/jobs/${job.id}/${route}`, body);
  const earlier = () => send("move", { before: before?.id });
  if (job.state === "queued" || job.state === "running") {
    return [
      before && button("Move up", earlier, { text: false, icon: "up", title: "Render it earlier" }),
      button("Cancel", () => send("cancel"), { icon: "close" }),
    ];
  }
  return job.state === "done" || job.superseded ? [] : [button("Try again", () => send("retry"))];
}
