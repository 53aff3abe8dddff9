// The bar above everything: project, undo and redo, render, queue, export; and the notices that come and go.

import { button, duration, h, icon } from "./dom.js";
import { acceptDrops } from "./importing.js";
import { jobOf, on, redo, render, shots, start, undo, view } from "./store.js";

let bar;

export function mount(element) {
  acceptDrops();
  const project = menu("Project", "project-name", "projectItems");
  const undoButton = button("Undo", undo, { text: false, shape: "undo" });
  const redoButton = button("Redo", redo, { text: false, shape: "redo" });
  const saved = h("span", { class: "saved quiet" });
  const main = button("Render", () => render({ scope: "due" }), { class: "primary main" });
  const plan = menu("What to render", "bare", "planItems", "dots");
  const queue = h("button", { type: "button", class: "button queue-chip", onclick: () => document.querySelector("#queue-tab-button")?.click() });
  const exports = menu("Export", "", "exportItems");
  bar = h("div", { class: "bar" }, project, saved, undoButton, redoButton, h("span", { class: "grow" }), h("span", { class: "split-button" }, main, plan), queue, exports);
  element.replaceChildren(bar, notices());
  on("project", () => {
    const state = view.project;
    if (!state) return;
    project.querySelector("summary span").textContent = state.title;
    document.title = `${state.title} · MoC Studio`;
    for (const [b, words, word] of [[undoButton, state.undo, "Undo"], [redoButton, state.redo, "Redo"]]) {
      b.disabled = !words;
      b.title = words ? `${word}: ${words}` : `Nothing to ${word.toLowerCase()}`;
      b.setAttribute("aria-label", b.title);
    }
  });
  on("project queue", () => {
    const { due: all, due_seconds: seconds } = view.project ?? { due: 0 };
    const due = shots().filter((shot) => shot.due && !jobOf(shot.id)).length;
    main.disabled = !due;
    main.querySelector("span").textContent = due ? `Render ${due} · ~${duration((seconds * due) / all)}` : !shots().length ? "Nothing to render" : !all ? "All rendered" : view.queue.paused ? "Paused" : "Rendering…";
    main.title = due ? "Render outdated shots (Shift+R)" : all ? "All outdated shots are in the queue" : "Every shot has the take its settings ask for";
  });
  on("connection project", () => (saved.textContent = view.connected ? "saved" : "not connected"));
  on("queue", () => {
    const waiting = view.queue.jobs.filter((job) => job.state === "queued").length;
    const running = view.queue.jobs.find((job) => job.state === "running");
    const failed = view.queue.jobs.filter((job) => ["failed", "parked"].includes(job.state)).length;
    const percent = running?.steps ? ` ${Math.round((100 * running.step) / running.steps)}%` : "";
    const words = view.queue.paused ? `Paused · ${waiting} wait` : running ? `Rendering${percent}${waiting ? ` · ${waiting} wait` : ""}` : waiting ? `${waiting} wait` : failed ? `${failed} failed` : "Queue";
    if (queue.textContent !== words) queue.textContent = words;
    queue.classList.toggle("alert", failed > 0);
  });
  start();
}

// A menu whose items are made when it is opened, by a function of menus.js.
function menu(label, kind, items, shape = null) {
  const body = h("div", { class: "menu-body", role: "menu" });
  const box = h("details", { class: `menu ${kind}` }, h("summary", { "aria-label": shape ? label : null, title: label }, shape ? icon(shape) : h("span", {}, label)), body);
  let opened = 0;
  box.addEventListener("toggle", async () => {
    const turn = ++opened;
    if (!box.open) return;
    try {
      const made = await (await import("./menus.js"))[items](() => (box.open = false));
      if (turn === opened) body.replaceChildren(...made);
    } catch (error) {
      if (turn === opened) body.replaceChildren(h("div", { class: "menu-line quiet" }, error.message));
    }
  });
  on("project", () => view.project?.id !== box.dataset.project && ((box.dataset.project = view.project?.id ?? ""), (box.open = false)));
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") ((box.open = false), box.querySelector("summary").focus());
  });
  document.addEventListener("pointerdown", (event) => box.contains(event.target) || (box.open = false));
  return box;
}

function notices() {
  const box = h("div", { class: "notices", role: "status", "aria-live": "polite" });
  window.addEventListener("studio:notice", ({ detail }) => {
    const note = h("div", { class: `notice ${detail.kind}` }, h("span", {}, detail.message), button("Close", () => note.remove(), { text: false, shape: "close" }));
    box.append(note);
    setTimeout(() => note.remove(), detail.kind === "error" ? 12000 : 4000);
    while (box.children.length > 4) box.firstChild.remove();
  });
  return box;
}

