// The toolbar above everything: project, undo and redo, render, queue, export.

import { redo, renderShots, undo } from "../common/commands.js";
import { button, fill, h, part } from "../common/dom.js";
import { counted, duration } from "../common/format.js";
import { menu } from "../common/menu.js";
import { start } from "../common/project.js";
import { activeJob, page, shots, subscribe } from "../common/state.js";
import { notices } from "./notices.js";

const menus = () => import("./menus.js");

/** @param {HTMLElement} element */
export function mount(element) {
  const project = menu("Project", { class: "project-name" }, async (close) =>
    (await menus()).projectItems(close),
  );
  const undoButton = button("Undo", undo, { text: false, icon: "undo", disabled: true });
  const redoButton = button("Redo", redo, { text: false, icon: "redo", disabled: true });
  const connection = h("span", { class: "saved quiet" });
  const main = button("Render", () => renderShots({ scope: "due" }), {
    class: "primary main",
    disabled: true,
  });
  const plan = menu("What to render", { icon: "dots" }, async () => (await menus()).planItems());
  const queue = h("button", { type: "button", class: "button queue-chip", title: "Show the queue" }, "Queue");
  queue.addEventListener("click", async () => (await import("./tabs.js")).showTab("queue-tab", "Queue"));
  const exports = menu("Export", { class: "right" }, async () => (await menus()).exportItems());
  const lanes = place(
    async () => (await import("./lane-switch.js")).laneSwitch(),
    ({ has_lanes }) => has_lanes,
  );
  const need = place(
    async () => (await import("./need.js")).renderNeed(),
    ({ lane, settings }) => (lane === "draft" ? settings.draft_model : settings.model) !== null,
  );
  const bar = h(
    "div",
    { class: "bar" },
    project,
    connection,
    undoButton,
    redoButton,
    h("span", { class: "grow" }),
    lanes.element,
    need.element,
    h("span", { class: "split-button" }, main, plan),
    queue,
    exports,
  );
  fill(element, bar, notices());
  import("./import.js").then((module) => module.acceptDrops());
  subscribe("project", () => {
    if (!page.project) return;
    const { title, undo: undoable, redo: redoable } = page.project;
    part(project, "summary span").textContent = title;
    document.title = `${title} · MoC Studio`;
    lanes.update(page.project);
    need.update(page.project);
    updateHistoryButton(undoButton, "Undo", undoable);
    updateHistoryButton(redoButton, "Redo", redoable);
  });
  subscribe("project queue", () => updateRenderButton(main));
  subscribe("connection project", () => {
    connection.textContent = page.connected ? "saved" : "not connected";
    connection.title = page.connected ? "Every change is saved at once" : "The studio does not answer";
  });
  subscribe("queue", () => {
    const words = queueWords(page.queue);
    if (queue.textContent !== words) queue.textContent = words;
    queue.classList.toggle("alert", failedJobs(page.queue).length > 0);
  });
  start();
}

/**
 * Where something is shown that not every project has; what shows it is loaded with the first that does.
 * @param {() => Promise<{ element: HTMLElement, update: (project: ProjectState) => unknown }>} load
 * @param {(project: ProjectState) => boolean} isWanted
 */
function place(load, isWanted) {
  const element = h("span", { hidden: true });
  /** @type {ReturnType<typeof load> | null} */
  let loading = null;
  const fillIn = async () => {
    const part = await load();
    element.replaceWith(part.element);
    return part;
  };
  const update = async (/** @type {ProjectState} */ project) => {
    if (!loading && !isWanted(project)) return;
    loading ??= fillIn();
    const part = await loading;
    if (page.project) part.update(page.project);
  };
  return { element, update };
}

/**
 * @param {HTMLButtonElement} element
 * @param {string} word
 * @param {string | null} name of the edit
 */
function updateHistoryButton(element, word, name) {
  element.disabled = !name;
  element.title = name ? `${word}: ${name}` : `Nothing to ${word.toLowerCase()}`;
  element.setAttribute("aria-label", element.title);
}

/** @param {HTMLButtonElement} element */
function updateRenderButton(element) {
  const { due: all, due_seconds: seconds } = page.project ?? { due: 0, due_seconds: 0 };
  const due = shots().filter((shot) => shot.due && !activeJob(shot.id)).length;
  element.disabled = !due;
  const label = part(element, "span");
  if (due) {
    const what = page.project?.has_lanes ? page.project.lane : "shot";
    const time = page.project?.time_known ? ` · ~${duration((seconds * due) / all)}` : "";
    label.textContent = `Render ${counted(due, what)}${time}`;
    element.title = [firstFramesNeeded(), "Render new and outdated shots (Shift+R)"]
      .filter(Boolean)
      .join(". ");
  } else if (all) {
    label.textContent = page.queue.paused ? "Queue paused" : "Rendering…";
    element.title = "All new and outdated shots are in the queue";
  } else {
    const unwritten = shots().filter((shot) => shot.state === "unwritten").length;
    const rendered = shots().length > unwritten;
    label.textContent = rendered ? "Up to date" : "Nothing to render";
    element.title = rendered
      ? "No shot is new or outdated"
      : unwritten
        ? "Write a caption first"
        : "Add a shot first";
  }
}

/** The shots that cannot be rendered before they have a first frame, in words. */
function firstFramesNeeded() {
  const numbers = shots().flatMap((shot, index) => (shot.due && shot.needs_first_frame ? [index + 1] : []));
  if (!numbers.length) return "";
  const one = numbers.length === 1;
  return `${one ? "Shot" : "Shots"} ${numbers.join(", ")} ${one ? "needs" : "need"} a first frame`;
}

/** The jobs that failed and were not tried again since. @param {Queue} queue */
const failedJobs = ({ jobs }) => jobs.filter((job) => /failed|parked/.test(job.state) && !job.superseded);

/** @type {Record<string, string>} */
const WORK = { render: "Rendering", download: "Downloading", analysis: "Reading a model" };

/** @param {Queue} queue */
function queueWords(queue) {
  const waiting = queue.jobs.filter((job) => job.state === "queued").length;
  const running = queue.jobs.find((job) => job.state === "running");
  if (queue.paused) return `Paused · ${waiting} waiting`;
  if (running) {
    const done = running.steps ? ` ${Math.round((100 * running.step) / running.steps)}%` : "";
    return `${WORK[running.kind] ?? "Working"}${done}${waiting ? ` · ${waiting} waiting` : ""}`;
  }
  if (waiting) return `${waiting} waiting`;
  return failedJobs(queue).length ? `${failedJobs(queue).length} failed` : "Queue";
}
