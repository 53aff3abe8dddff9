// The timeline: ruler, clips, captions, playhead. Everything by mouse can be done by keyboard too (keyboard/).

import { sendEdit } from "../common/commands.js";
import { button, fill, h, svg, updateList } from "../common/dom.js";
import { clock, counted } from "../common/format.js";
import { start } from "../common/project.js";
import { page, publish, seek, select, selectedShot, shotIndex, shots, subscribe } from "../common/state.js";
import { editCaption, makeCaption, updateCaption } from "./captions.js";
import { makeClip, updateClip } from "./clips.js";
import {
  boxOf,
  LEAST_SCALE,
  lane,
  layOutShots,
  MOST_SCALE,
  SKIPPED_WIDTH,
  timeAtX,
  xAtTime,
  xInLane,
} from "./layout.js";

const LEGIBLE_SCALE = 40; // px per second
const ZOOM_STEP = 1.25;
const TICK_STEPS = [0.5, 1, 2, 5, 10, 30, 60]; // s
const LEAST_TICK = 64; // px

const ruler = h("div", { class: "ruler", onpointerdown: scrub });
const captions = h("div", { class: "captions" });
const playhead = h("div", { class: "playhead" }, h("div", { class: "playhead-grip" }));
const arcs = svg("svg", { class: "arcs" });
const empty = h(
  "div",
  { class: "empty", hidden: true },
  h("p", {}, "This project has no shots yet."),
  button("Add the first shot", () => addShot(), { icon: "add", class: "primary" }),
);
const body = h("div", { class: "timeline-body" }, ruler, arcs, lane.element, captions, playhead, lane.marker);
const scroller = h("div", { class: "timeline-scroll" }, body, empty);
const root = h(
  "div",
  {
    class: "timeline",
    tabIndex: 0,
    role: "listbox",
    "aria-label": "Timeline",
    "aria-multiselectable": "true",
    "aria-orientation": "horizontal",
    "data-keys": "timeline",
  },
  scroller,
);
const length = h("span", { class: "quiet timeline-length" });
const zoomer = h("input", {
  type: "range",
  min: LEAST_SCALE,
  max: MOST_SCALE,
  value: lane.scale,
  "aria-label": "Zoom",
  oninput: () => zoomTo(Number(zoomer.value)),
});

/** @param {HTMLElement} element */
export function mount(element) {
  lane.element.className = "clips";
  lane.marker.className = "drop-marker";
  lane.marker.hidden = true;
  const bar = h(
    "div",
    { class: "timeline-bar" },
    h("span", { class: "timeline-title" }, "Timeline"),
    length,
    h("span", { class: "grow" }),
    button("Add shot", addShot, { icon: "add", title: "Add a shot after the selected one (N)" }),
    button("Zoom out", () => zoomBy(1 / ZOOM_STEP), { text: false, icon: "minus" }),
    zoomer,
    button("Zoom in", () => zoomBy(ZOOM_STEP), { text: false, icon: "add" }),
    button("Fit", fitZoom, { title: "Show the whole film (Ctrl+0)" }),
    button("Keyboard shortcuts", () => publish("help"), { text: false, icon: "help" }),
  );
  fill(element, bar, root);
  scroller.addEventListener("wheel", wheel, { passive: false });
  new ResizeObserver(draw).observe(scroller);
  subscribe("project", () => {
    if (!page.project) return;
    if (page.project.id === root.dataset.project) return draw();
    root.dataset.project = page.project.id;
    fitZoom();
    zoomTo(Math.max(lane.scale, LEGIBLE_SCALE));
  });
  subscribe("queue timeline", draw);
  subscribe("selection", () => {
    draw();
    revealSelected();
  });
  subscribe("playhead", movePlayhead);
  start();
  import("./context-arcs.js").then((module) => module.mountArcs(arcs));
  setTimeout(() => import("./drift-marks.js"), 1000); // nothing is waiting for it
}

/** @param {number} scale px per second */
export function zoomTo(scale) {
  lane.scale = Math.max(LEAST_SCALE, Math.min(MOST_SCALE, scale));
  zoomer.value = String(lane.scale);
  draw();
}

/** @param {number} factor */
export const zoomBy = (factor) => zoomTo(lane.scale * factor);

export function fitZoom() {
  const shown = shots().filter((shot) => !shot.skip);
  const seconds = shown.reduce((sum, shot) => sum + shot.seconds, 0);
  const room = (scroller.clientWidth || 1000) - 90 - (shots().length - shown.length) * SKIPPED_WIDTH;
  zoomTo(seconds ? room / seconds : 60);
}

export async function addShot() {
  const selected = selectedShot();
  const at = selected ? shotIndex(selected.id) + 1 : shots().length;
  const before = new Set(shots().map((shot) => shot.id));
  if (!(await sendEdit({ op: "add", at }))) return;
  const added = shots().find((shot) => !before.has(shot.id));
  if (!added) return;
  select([added.id]);
  editCaption(added.id);
}

function draw() {
  if (!page.project || lane.gesture) return;
  body.style.width = `${Math.max(layOutShots() + 80, scroller.clientWidth - 2)}px`;
  empty.hidden = shots().length > 0;
  length.textContent = `${counted(shots().length, "shot")} · ${clock(page.project.seconds)}`;
  const selected = selectedShot();
  root.setAttribute("aria-activedescendant", selected ? `clip-${selected.id}` : "");
  drawRuler(page.project.seconds);
  const placed = shots().map((shot, index) => ({ shot, box: lane.boxes[index], number: index + 1 }));
  updateList(lane.element, placed, ({ shot }) => shot.id, makeClip, updateClip);
  updateList(captions, placed, ({ shot }) => shot.id, makeCaption, updateCaption);
  movePlayhead();
  root.dataset.revision = String(page.project.revision);
}

/** @param {number} seconds */
function drawRuler(seconds) {
  const step = TICK_STEPS.find((candidate) => candidate * lane.scale >= LEAST_TICK) ?? 60;
  const ticks = Array.from({ length: Math.floor(seconds / step + 1e-6) + 1 }, (_, index) => index * step);
  const update = (/** @type {HTMLElement} */ tick, /** @type {number} */ time) => {
    tick.style.left = `${xAtTime(time)}px`;
    tick.textContent = `${clock(time)}${time % 1 ? ".5" : ""}`;
  };
  updateList(
    ruler,
    ticks,
    (time) => time,
    () => h("span", { class: "tick" }),
    update,
  );
}

/** Moves the playhead with the pointer. @param {PointerEvent} event */
function scrub(event) {
  if (event.button !== 0) return;
  root.focus({ preventScroll: true });
  ruler.setPointerCapture(event.pointerId);
  const listeners = new AbortController();
  const { signal } = listeners;
  const move = (/** @type {PointerEvent} */ moved) => seek(timeAtX(xInLane(moved)));
  ruler.addEventListener("pointermove", move, { signal });
  ruler.addEventListener("pointerup", () => listeners.abort(), { signal });
  ruler.addEventListener("pointercancel", () => listeners.abort(), { signal });
  move(event);
}

function movePlayhead() {
  if (!page.project) return;
  const x = xAtTime(page.playhead);
  playhead.style.transform = `translateX(${x}px)`;
  playhead.hidden = !lane.boxes.length;
  const { scrollLeft, clientWidth } = scroller;
  const seen = x >= scrollLeft + 20 && x <= scrollLeft + clientWidth - 60;
  if (page.playing && !seen) scroller.scrollLeft = x - 80;
}

function revealSelected() {
  const box = boxOf(page.selected.at(-1));
  if (!box || page.playing) return;
  const end = box.left + box.width;
  if (box.left < scroller.scrollLeft) scroller.scrollLeft = box.left - 20;
  else if (end > scroller.scrollLeft + scroller.clientWidth)
    scroller.scrollLeft = end - scroller.clientWidth + 40;
}

/** Scrolls; with Ctrl zooms around the pointer. @param {WheelEvent} event */
function wheel(event) {
  if (event.ctrlKey) {
    event.preventDefault();
    const x = xInLane(event);
    const time = timeAtX(x);
    zoomTo(lane.scale * Math.exp(-event.deltaY / 300));
    scroller.scrollLeft += xAtTime(time) - x;
    return;
  }
  const vertical = !event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX);
  if (vertical && scroller.scrollWidth > scroller.clientWidth) {
    scroller.scrollLeft += event.deltaY;
    event.preventDefault();
  }
}
