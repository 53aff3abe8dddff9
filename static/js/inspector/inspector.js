// The routing inspector: which shots drew on which, what each part of a shot attended to, layers and heads, and
// looks that differ. While it is open, objects can be picked in the player.

import { fill, h } from "../common/dom.js";
import { isOpen, notify, page, publish, selectedShot, shots, subscribe } from "../common/state.js";
import { mountPicker } from "../player/object-picker.js";
import { attentionList } from "./attention-list.js";
import { chunkMap } from "./chunk-map.js";
import { consistency } from "./consistency.js";
import { heads } from "./heads.js";
import { saveMenu } from "./save-menu.js";
import { isNarrowed, selection, showWhole } from "./selection.js";
import { storyMap } from "./story-map.js";

/** @typedef {import("./selection.js").ViewName} ViewName */

/** @type {[name: ViewName, label: string][]} */
const VIEWS = [
  ["story", "Story map"],
  ["shot", "This shot"],
  ["heads", "Layers and heads"],
  ["drift", "Consistency"],
];

const tabs = VIEWS.map(([name, label]) =>
  h("button", { type: "button", role: "tab", "data-view": name, onclick: () => showView(name) }, label),
);
const body = h("div", { class: "inspector-body" });
const listPlace = h("div", { class: "attention-place" });
let drawn = ""; // key of the view that is drawn or being read
let reads = 0; // of what a part attended to

/** @type {{ project: string, take: string, attention: Attention, read: () => Promise<Attention> } | null} */
let attended = null;

/** @param {HTMLElement} element */
export function mount(element) {
  const header = h("div", { class: "segments", role: "tablist" }, tabs);
  const panel = h(
    "div",
    { class: "panel inspector" },
    h("div", { class: "row" }, header, h("span", { class: "grow" }), saveMenu(body)),
    body,
  );
  fill(element, panel);
  new IntersectionObserver(([entry]) => {
    page.inspecting = entry.isIntersecting;
    document.body.classList.toggle("inspecting", page.inspecting);
    publish("inspecting");
  }).observe(element);
  subscribe("project selection inspecting", redraw);
  subscribe("steering", reread);
  mountPicker(showAttention);
}

/** @param {ViewName} name */
function showView(name) {
  selection.view = name;
  redraw();
}

/** The selected shot, if it has a take and the inspector is open. */
function inspectedShot() {
  const shot = selectedShot();
  return page.inspecting && shot?.take ? shot : null;
}

/** What the view depends on: it is read again when this changes. The figures of a take never change. */
function viewKey() {
  const { view } = selection;
  const shot = selectedShot();
  const whole = view === "story" || view === "drift";
  const steering = [shot?.id, shot?.pins, shot?.bans, shot?.boosts, shot?.reasons];
  const depends = whole
    ? [page.project?.stamp]
    : [shots().map((other) => [other.id, other.take]), ...steering, selection];
  return JSON.stringify([view, page.project?.id, document.body.classList.contains("dark"), depends]);
}

async function redraw() {
  if (!page.inspecting || !page.project) return;
  for (const tab of tabs) tab.setAttribute("aria-selected", String(tab.dataset.view === selection.view));
  const shot = selectedShot();
  if (selection.source && selection.source === shot?.take) selection.source = null; // no take draws on itself
  const key = viewKey();
  if (key === drawn) return;
  drawn = key;
  const project = page.project.id;
  const isCurrent = () => drawn === key && isOpen(project);
  if (attended && (attended.project !== project || attended.take !== shot?.take)) attended = null;
  try {
    const view = await readView(project, shot);
    if (isCurrent()) fill(body, view.elements);
    if (isCurrent()) await view.draw?.();
  } catch (error) {
    if (!isCurrent()) return;
    if (isNarrowed()) {
      showWhole(); // another take may not have the layer or head that was chosen
      redraw();
    } else fill(body, h("p", { class: "quiet" }, /** @type {Error} */ (error).message));
  }
}

/**
 * @param {string} project
 * @param {Shot | null} shot
 * @returns {Promise<View> | View}
 */
function readView(project, shot) {
  if (selection.view === "story") return storyMap(project, showView);
  if (selection.view === "drift") return consistency(project);
  if (!shot?.take) {
    const words = shot
      ? "This shot is not rendered yet. Its routing is shown once it has a take."
      : "Select a shot on the timeline.";
    return { elements: [h("p", { class: "quiet" }, words)] };
  }
  if (selection.view === "heads") return heads(project, shot, shot.take);
  drawList();
  return chunkMap({ project, shot, take: shot.take, list: listPlace, redraw, reread, showAttention });
}

/** Shows what a part of the shot attended to. @param {() => Promise<Attention>} read */
async function showAttention(read) {
  const shot = inspectedShot();
  const project = page.project?.id;
  if (!shot?.take || !project) return;
  const number = ++reads;
  const isCurrent = () => number === reads && isOpen(project) && inspectedShot()?.take === shot.take;
  try {
    const attention = await read();
    if (!isCurrent()) return;
    attended = { project, take: shot.take, attention, read };
  } catch (error) {
    if (isCurrent()) notify(/** @type {Error} */ (error).message, "error");
    return;
  }
  if (selection.view === "shot") drawList();
  else showView("shot");
}

/** Reads the attention again, after the choice of layers or the steering has changed. */
function reread() {
  if (attended && inspectedShot()) showAttention(attended.read);
}

function drawList() {
  const hint = "Click a row, or something in the picture, to see what it attended to.";
  fill(listPlace, attended ? attentionList(attended.attention) : h("p", { class: "quiet" }, hint));
}
