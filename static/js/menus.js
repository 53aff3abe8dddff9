// What the menus of the bar hold; loaded when one is opened. `close` closes the menu.

import { post } from "./api.js";
import { duration, h } from "./dom.js";
import { ACCEPTED, importFile } from "./importing.js";
import { isOpen, listProjects, notify, open, openMade, render, view } from "./store.js";

const item = (label, work, note = null) => h("button", { type: "button", class: "menu-item", role: "menuitem", onclick: work }, h("span", {}, label), note && h("span", { class: "quiet" }, note));
const link = (close, label, href, note = null) => h("a", { class: "menu-item", role: "menuitem", href, download: "", onclick: () => setTimeout(close) }, h("span", {}, label), note && h("span", { class: "quiet" }, note));
const line = (words) => h("div", { class: "menu-line quiet" }, words);

const saying = (close, work) => async () => {
  close();
  try {
    await work();
  } catch (error) {
    notify(error.message, "error");
  }
};

export async function projectItems(close) {
  const { id, title } = view.project;
  const listed = await listProjects();
  const act = (work) => saying(close, work);
  const shown = listed.filter((project) => project.trashed === null);
  const binned = listed.filter((project) => project.trashed !== null);
  const file = h("input", { type: "file", accept: ACCEPTED, hidden: true, onchange: act(() => openMade(() => importFile(file.files[0]))) });
  return [
    ...shown.map((project) => item(project.title, act(() => open(project.id)), told(project, id))),
    h("hr"),
    item("New project", act(() => openMade(() => post("/projects", { title: "Untitled" })))),
    item("Duplicate", act(() => openMade(() => post(`/projects/${id}/duplicate`)))),
    item("Import…", () => file.click(), "YAML, bundle or film"),
    file,
    item("Move to bin", act(async () => {
      await post(`/projects/${id}/trash`);
      notify(`“${title}” is in the bin; the project menu brings it back`);
      const next = shown.find((project) => project.id !== id);
      if (isOpen(id)) await openMade(() => next ?? post("/projects", { title: "Untitled" }));
    })),
    ...(binned.length ? [h("hr"), line("In the bin")] : []),
    ...binned.map((project) => item(project.title, act(() => openMade(async () => (await post(`/projects/${project.id}/recover`), project))), "restore")),
  ];
}

// What tells projects of one title apart.
function told(project, shown) {
  const when = new Date(project.changed * 1000);
  const today = when.toDateString() === new Date().toDateString();
  const words = today ? when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : when.toLocaleDateString([], { day: "numeric", month: "short" });
  return `${project.shots} ${project.shots === 1 ? "shot" : "shots"} · ${project.id === shown ? "open" : `changed ${words}`}`;
}

export async function planItems(close) {
  const { id } = view.project;
  const planned = await post(`/projects/${id}/plan`, { scope: "due" });
  const all = await post(`/projects/${id}/plan`, { scope: "all" });
  const seconds = (list) => duration(list.reduce((sum, shot) => sum + shot.seconds, 0));
  return [
    line(planned.length ? "Shots to render, in this order:" : "Every shot is up to date."),
    h("ol", { class: "plan" }, planned.map((shot) => h("li", {}, h("strong", {}, `Shot ${shot.index + 1}`), ` ${shot.reasons.join("; ")} · ~${duration(shot.seconds)}`))),
    ...(planned.length ? [item(`Render these ${planned.length}`, () => (close(), render({ scope: "due" }, id)), `~${seconds(planned)}`)] : []),
    item("Render everything again", () => (close(), render({ scope: "all" }, id)), `${all.length} shots · ~${seconds(all)}`),
  ];
}

export function exportItems(close) {
  const path = `/api/projects/${view.project.id}/export`;
  return [
    link(close, "Film", `${path}/film.mp4`, "MP4"),
    link(close, "Subtitles", `${path}/subtitles.srt`, "SRT"),
    link(close, "Captions", `${path}/captions.vtt`, "WebVTT"),
    link(close, "Contact sheet", `${path}/contact-sheet.png`, "PNG"),
    h("hr"),
    link(close, "Storyboard", `/api/projects/${view.project.id}/storyboard.yaml`, "YAML"),
    link(close, "Bundle", `${path}/project.mocz`, "everything, to take elsewhere"),
  ];
}
