// What renders, waits and ended lately, of all projects.

import { button, duration, h, reconcile } from "./dom.js";
import { on, order, select, start, view } from "./store.js";

const STATES = { queued: "waiting", running: "rendering", done: "done", failed: "failed", cancelled: "cancelled", parked: "set aside" };

export function mount(element) {
  const pause = button("Pause", () => order("/queue/pause", { paused: !view.queue.paused }));
  const clear = button("Clear finished", () => order("/queue/clear", {}));
  const list = h("ol", { class: "queue" });
  const empty = h("p", { class: "quiet" }, "Nothing waits. What you render appears here, and goes on when this page is closed.");
  element.replaceChildren(h("div", { class: "panel" }, h("div", { class: "row" }, pause, clear), empty, list));
  on("queue project", () => {
    const jobs = view.queue.jobs;
    empty.hidden = jobs.length > 0;
    pause.querySelector("span").textContent = view.queue.paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(view.queue.paused));
    clear.disabled = !jobs.some((job) => !["queued", "running"].includes(job.state));
    reconcile(list, jobs, (job) => job.id, () => h("li", { class: "job" }), updateJob);
  });
  start();
}

function updateJob(box, job) {
  const here = job.project === view.project?.id;
  const key = JSON.stringify([job, here]);
  if (box.dataset.drawn === key) return;
  box.dataset.drawn = key;
  const waiting = view.queue.jobs.filter((other) => other.state === "queued");
  const at = waiting.findIndex((other) => other.id === job.id);
  const left = job.seconds_left === null ? "" : ` · ${duration(job.seconds_left)} left`;
  const progress = job.state === "running" ? ` · ${job.stage ?? "begins"}${job.steps ? ` ${job.step}/${job.steps}` : ""}${left}` : job.state === "queued" ? ` · about ${duration(job.seconds)}` : "";
  box.className = `job is-${job.state}`;
  box.replaceChildren(
    h("button", { type: "button", class: "job-name", onclick: () => here && select([job.shot]) }, `${here ? "" : `${job.title}: `}${job.index === null ? "a deleted shot" : `shot ${job.index + 1}`}`),
    h("span", { class: "job-state" }, `${STATES[job.state]}${progress}`),
    h("span", { class: "quiet" }, job.error ?? job.reason),
    job.state === "running" && job.steps ? h("progress", { max: job.steps, value: job.step }) : "",
    h(
      "div",
      { class: "row" },
      at > 0 ? button("Earlier", () => order(`/jobs/${job.id}/move`, { before: waiting[at - 1].id }), { text: false, shape: "up" }) : "",
      ["queued", "running"].includes(job.state) ? button("Cancel", () => order(`/jobs/${job.id}/cancel`, {}), { shape: "close" }) : "",
      ["failed", "cancelled", "parked"].includes(job.state) ? button("Try again", () => order(`/jobs/${job.id}/retry`, {})) : "",
    ),
  );
}
