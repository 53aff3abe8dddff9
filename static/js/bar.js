// The bar above everything: project, undo and redo, render, queue, export; and the notices that come and go.

import { post } from "./api.js";
import { button, duration, h, icon } from "./dom.js";
import { listProjects, notify, on, open, redo, render, start, undo, view } from "./store.js";

let bar;

export function mount(element) {
  const project = menu("Project", "project-name", projectItems);
  const undoButton = button("Undo", undo, { text: false, shape: "undo" });
  const redoButton = button("Redo", redo, { text: false, shape: "redo" });
  const saved = h("span", { class: "saved quiet" });
  const main = button("Render", () => render({ scope: "worth" }), { class: "primary main" });
  const plan = menu("What to render", "bare", planItems, "dots");
  const queue = h("button", { type: "button", class: "button queue-chip", onclick: () => document.querySelector("#tab-queue")?.click() });
  const exports = menu("Export", "", exportItems);
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
    main.disabled = !state.due;
    main.querySelector("span").textContent = state.due ? `Render ${state.due} · ~${duration(state.due_seconds)}` : "All rendered";
    main.title = state.due ? "Render what is worth it (Shift+R)" : "Every shot has the take its settings ask for";
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

function menu(label, kind, items, shape = null) {
  const body = h("div", { class: "menu-body", role: "menu" });
  const box = h("details", { class: `menu ${kind}` }, h("summary", { "aria-label": shape ? label : null, title: label }, shape ? icon(shape) : h("span", {}, label)), body);
  box.addEventListener("toggle", async () => box.open && body.replaceChildren(...(await items(() => (box.open = false)))));
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") ((box.open = false), box.querySelector("summary").focus());
  });
  document.addEventListener("pointerdown", (event) => box.contains(event.target) || (box.open = false));
  return box;
}

const item = (label, work, note = null) => h("button", { type: "button", class: "menu-item", role: "menuitem", onclick: work }, h("span", {}, label), note && h("span", { class: "quiet" }, note));
const link = (label, href, note = null) => h("a", { class: "menu-item", role: "menuitem", href, download: "" }, h("span", {}, label), note && h("span", { class: "quiet" }, note));
const line = (words) => h("div", { class: "menu-line quiet" }, words);

const saying = (close, work) => async () => {
  close();
  try {
    await work();
  } catch (error) {
    notify(error.message, "error");
  }
};

async function projectItems(close) {
  const listed = await listProjects();
  const act = (work) => saying(close, work);
  const id = view.project.id;
  const shown = listed.filter((project) => project.trashed === null);
  const binned = listed.filter((project) => project.trashed !== null);
  const made = async (state) => open(state.id);
  const file = h("input", { type: "file", accept: ".yaml,.yml,.mocz", hidden: true, onchange: act(async () => made(await importFile(file.files[0]))) });
  return [
    ...shown.map((project) => item(project.title, act(() => open(project.id)), project.id === id ? "open" : `${project.shots} shots`)),
    h("hr"),
    item("New project", act(async () => made(await post("/projects", { title: "Untitled" })))),
    item("Duplicate", act(async () => made(await post(`/projects/${id}/duplicate`)))),
    item("Import…", () => file.click(), "YAML or bundle"),
    file,
    item("Move to bin", act(async () => {
      await post(`/projects/${id}/trash`);
      notify(`“${view.project.title}” is in the bin; the project menu brings it back`);
      const next = shown.find((project) => project.id !== id);
      await made(next ?? (await post("/projects", { title: "Untitled" })));
    })),
    ...(binned.length ? [h("hr"), line("In the bin")] : []),
    ...binned.map((project) => item(project.title, act(async () => (await post(`/projects/${project.id}/recover`), open(project.id))), "restore")),
  ];
}

async function importFile(file) {
  if (file.name.endsWith(".mocz")) return post("/projects/bundle", file);
  return post("/projects/import", await file.text());
}

async function planItems(close) {
  const planned = await post(`/projects/${view.project.id}/plan`, { scope: "worth" });
  const all = await post(`/projects/${view.project.id}/plan`, { scope: "all" });
  const seconds = (list) => duration(list.reduce((sum, shot) => sum + shot.seconds, 0));
  return [
    line(planned.length ? "Worth rendering, in this order:" : "Nothing is worth rendering."),
    h("ol", { class: "plan" }, planned.map((shot) => h("li", {}, h("strong", {}, `Shot ${shot.place + 1}`), ` ${shot.reasons.join("; ")} · ~${duration(shot.seconds)}`))),
    ...(planned.length ? [item(`Render these ${planned.length}`, () => (close(), render({ scope: "worth" })), `~${seconds(planned)}`)] : []),
    item("Render everything again", () => (close(), render({ scope: "all" })), `${all.length} shots · ~${seconds(all)}`),
  ];
}

async function exportItems() {
  const path = `/api/projects/${view.project.id}/export`;
  return [
    link("Film", `${path}/film.mp4`, "MP4"),
    link("Subtitles", `${path}/subtitles.srt`, "SRT"),
    link("Captions", `${path}/captions.vtt`, "WebVTT"),
    link("Contact sheet", `${path}/contact-sheet.png`, "PNG"),
    h("hr"),
    link("Storyboard", `/api/projects/${view.project.id}/storyboard.yaml`, "YAML"),
    link("Bundle", `${path}/project.mocz`, "everything, to take elsewhere"),
  ];
}

function notices() {
  const box = h("div", { class: "notices", role: "status", "aria-live": "polite" });
  window.addEventListener("studio:notice", ({ detail }) => {
    const note = h("div", { class: `notice ${detail.kind}` }, h("span", {}, detail.message), button("Close", () => note.remove(), { text: false, shape: "close" }));
    box.append(note);
    if (detail.kind !== "error") setTimeout(() => note.remove(), 4000);
    while (box.children.length > 4) box.firstChild.remove();
  });
  return box;
}

