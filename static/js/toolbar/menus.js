// The items of the toolbar's menus; loaded when one is opened.

import { post } from "../common/api.js";
import { renderShots } from "../common/commands.js";
import { h } from "../common/dom.js";
import { footageAddress } from "../common/footage-address.js";
import { counted, duration, size } from "../common/format.js";
import { menuItem, menuItemForGood, menuLine } from "../common/menu.js";
import { listProjects, openProject, openResult, refresh } from "../common/project.js";
import { isOpen, notify, notifyError, openProjectState } from "../common/state.js";
import { FILE_TYPES, importFile } from "./import.js";
import { sideBySide } from "./waves.js";

/** @param {() => void} close */
export async function projectItems(close) {
  const { id, title } = openProjectState();
  const listed = await listProjects();
  const kept = listed.filter((project) => project.trashed === null);
  const binned = listed.filter((project) => project.trashed !== null);
  const act = (/** @type {() => Promise<unknown>} */ work) => () => work().catch(notifyError);
  const input = h("input", { type: "file", accept: FILE_TYPES.join(), hidden: true });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    close();
    if (file) importFile(file);
  });
  const moveToBin = async () => {
    await post(`/projects/${id}/trash`);
    notify(`“${title}” is in the bin. The project menu restores it.`);
    const next = kept.find((project) => project.id !== id);
    if (isOpen(id)) await openResult(async () => next ?? newProject());
  };
  const restore = (/** @type {ListedProject} */ project) =>
    openResult(async () => {
      await post(`/projects/${project.id}/recover`);
      return project;
    });
  return [
    ...kept.map((project) =>
      menuItem(
        project.title,
        act(() => openProject(project.id)),
        projectNote(project),
      ),
    ),
    h("hr"),
    menuItem(
      "New project",
      act(() => openResult(newProject)),
    ),
    menuItem(
      "Duplicate project",
      act(() => openResult(() => post(`/projects/${id}/duplicate`))),
    ),
    menuItem("Import…", () => input.click(), "storyboard, bundle or film"),
    input,
    h(
      "a",
      { class: "menu-item", role: "menuitem", href: footageAddress(), "data-closes": true },
      h("span", {}, "Footage…"),
      h("span", { class: "quiet" }, "cut videos into shots for training"),
    ),
    menuItem("Move to bin", act(moveToBin)),
    ...(hasDiscardedTakes()
      ? [
          menuItemForGood(
            "Delete discarded takes",
            "Delete them for good, without undo?",
            act(() => deleteDiscarded(id)),
          ),
        ]
      : []),
    ...(binned.length ? [h("hr"), menuLine("In the bin")] : []),
    ...binned.map((project) =>
      menuItem(
        project.title,
        act(() => restore(project)),
        "restore",
      ),
    ),
    ...(binned.length
      ? [
          menuItemForGood(
            "Empty bin",
            `Delete ${counted(binned.length, "project")} for good?`,
            act(emptyBin),
            size(binned.reduce((sum, project) => sum + project.own_bytes, 0)),
          ),
        ]
      : []),
  ];
}

async function emptyBin() {
  const { bytes } = await post("/bin/empty");
  notify(`The bin is empty. ${freed(bytes)}`);
}

/**
 * Files of the last hour are kept, since something may still be about to use them.
 * @param {number} bytes
 */
const freed = (bytes) =>
  bytes
    ? `${size(bytes)} freed.`
    : "Files of the last hour stay on the disk for now; “moc-studio gc” frees them later.";

const hasDiscardedTakes = () =>
  openProjectState().shots.some((shot) => shot.takes.some((take) => take.discarded));

/** @param {string} project */
async function deleteDiscarded(project) {
  const { deleted, bytes } = await post(`/projects/${project}/discarded/delete`);
  notify(`Deleted ${counted(deleted, "take")}. ${freed(bytes)}`);
  await refresh(project);
}

const newProject = () => post("/projects", { title: "Untitled" });

/** What tells projects of one title apart. @param {ListedProject} project */
function projectNote(project) {
  const changed = new Date(project.changed * 1000);
  const today = changed.toDateString() === new Date().toDateString();
  const when = today
    ? changed.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : changed.toLocaleDateString([], { day: "numeric", month: "short" });
  return `${counted(project.shots, "shot")} · ${size(project.bytes)} · ${isOpen(project.id) ? "open" : `changed ${when}`}`;
}

export async function planItems() {
  const { id, time_known } = openProjectState();
  const ask = (/** @type {string} */ route, /** @type {object} */ body) =>
    post(`/projects/${id}/${route}`, body);
  /** @type {[due: PlannedRender[], all: PlannedRender[], schedule: RenderSchedule]} */
  const [due, all, schedule] = await Promise.all([
    ask("plan", { scope: "due" }),
    ask("plan", { scope: "all" }),
    ask("schedule", { scope: "due", workers: 4 }),
  ]);
  const time = (/** @type {PlannedRender[]} */ planned) =>
    time_known ? `~${duration(planned.reduce((sum, { seconds }) => sum + seconds, 0))}` : "";
  const lines = due.map(({ index, reasons, seconds }) =>
    h(
      "li",
      {},
      h("strong", {}, `Shot ${index + 1}`),
      ` ${reasons.join("; ")}${time_known ? ` · ~${duration(seconds)}` : ""}`,
    ),
  );
  const renderDue = () => renderShots({ scope: "due" }, id);
  const renderAll = () => renderShots({ scope: "all" }, id);
  return [
    menuLine(due.length ? "Shots to render, in this order:" : "Every shot is up to date."),
    h("ol", { class: "plan" }, lines),
    ...sideBySide(schedule),
    ...(time_known ? [] : [menuLine("How long it takes is told once this model has rendered a shot.")]),
    ...(due.length ? [menuItem(`Render ${counted(due.length, "shot")}`, renderDue, time(due))] : []),
    menuItem(
      "Render every shot again",
      renderAll,
      [counted(all.length, "shot"), time(all)].filter(Boolean).join(" · "),
    ),
  ];
}

export function exportItems() {
  const project = `/api/projects/${openProjectState().id}`;
  const file = (/** @type {string} */ label, /** @type {string} */ path, /** @type {string} */ note) =>
    h(
      "a",
      { class: "menu-item", role: "menuitem", href: `${project}/${path}`, download: "", "data-closes": true },
      h("span", {}, label),
      h("span", { class: "quiet" }, note),
    );
  return [
    file("Film", "export/film.mp4", "MP4"),
    file("Subtitles", "export/subtitles.srt", "SRT"),
    file("Captions", "export/captions.vtt", "WebVTT"),
    file("Contact sheet", "export/contact-sheet.png", "PNG"),
    h("hr"),
    file("Storyboard", "storyboard.yaml", "YAML"),
    file("Bundle", "export/project.mocz", "the project with all takes"),
  ];
}
