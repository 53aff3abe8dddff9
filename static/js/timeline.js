// The timeline: ruler, clips, captions, playhead. Everything by mouse can be done by keyboard too (see keys.js).

import { makeClip, updateClip } from "./clips.js";
import { button, clock, h, reconcile } from "./dom.js";
import { SKIPPED, lane, layOut, placeOf, timeAt, xIn, xOf } from "./layout.js";
import { current, edit, on, seek, select, shots, start, tell, view } from "./store.js";
import { editCaption, makeCaption, updateCaption } from "./writing.js";

const LEGIBLE = 40; // px per second

let root, scroller, captions, ruler, head, zoomer;

export function mount(element) {
  lane.marker = h("div", { class: "drop-marker", hidden: true });
  head = h("div", { class: "playhead" }, h("div", { class: "playhead-grip" }));
  ruler = h("div", { class: "ruler", onpointerdown: scrub });
  lane.element = h("div", { class: "clips" });
  captions = h("div", { class: "captions" });
  const arcs = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  arcs.setAttribute("class", "arcs");
  scroller = h("div", { class: "timeline-scroll" }, h("div", { class: "timeline-body" }, ruler, arcs, lane.element, captions, head, lane.marker));
  zoomer = h("input", { type: "range", min: 8, max: 240, value: lane.scale, "aria-label": "Zoom", oninput: () => zoomTo(Number(zoomer.value)) });
  root = h(
    "div",
    {
      class: "timeline",
      tabIndex: 0,
      role: "listbox",
      "aria-label": "Timeline",
      "aria-multiselectable": "true",
      "aria-orientation": "horizontal",
    },
    scroller,
  );
  root.dataset.keys = "timeline";
  const bar = h(
    "div",
    { class: "timeline-bar" },
    h("span", { class: "timeline-title" }, "Timeline"),
    h("span", { class: "quiet timeline-length" }),
    h("span", { class: "grow" }),
    button("Add shot", () => addShot(), { shape: "add" }),
    button("Zoom out", () => zoomTo(lane.scale / 1.25), { text: false, shape: "minus" }),
    zoomer,
    button("Fit", fit, { title: "Show the whole film (Ctrl+0)" }),
    button("Keyboard shortcuts", () => tell("help"), { text: false, shape: "help" }),
  );
  element.replaceChildren(bar, root);
  scroller.addEventListener("wheel", wheel, { passive: false });
  new ResizeObserver(() => draw()).observe(scroller);
  on("project", () => {
    if (!view.project) return;
    if (view.project.id !== root.dataset.project) {
      root.dataset.project = view.project.id;
      fit();
      zoomTo(Math.max(lane.scale, LEGIBLE));
    } else draw();
  });
  on("queue timeline", draw);
  on("selection", () => (draw(), reveal()));
  on("playhead", moveHead);
  start();
  setTimeout(() => import("./drift.js"), 1000); // what it asks for waits anyway
  import("./arcs.js").then((m) => m.mountArcs(arcs));
}

export function zoomTo(value) {
  lane.scale = Math.max(8, Math.min(240, value));
  zoomer.value = lane.scale;
  draw();
}
export const zoomBy = (factor) => zoomTo(lane.scale * factor);

export function fit() {
  const list = shots();
  const seconds = list.reduce((sum, shot) => sum + (shot.skip ? 0 : shot.seconds), 0);
  const skipped = list.filter((shot) => shot.skip).length;
  const room = (scroller?.clientWidth || 1000) - 90 - skipped * SKIPPED;
  zoomTo(seconds ? room / seconds : 60);
}

export async function addShot() {
  const at = current() ? shots().findIndex((shot) => shot.id === current().id) + 1 : shots().length;
  const before = new Set(shots().map((shot) => shot.id));
  if (await edit({ op: "add", at })) {
    const made = shots().find((shot) => !before.has(shot.id));
    select([made.id]);
    editCaption(made.id);
  }
}

function draw() {
  if (!root || !view.project || lane.gesture) return;
  const width = layOut();
  scroller.firstElementChild.style.width = `${Math.max(width + 80, scroller.clientWidth - 2)}px`;
  root.querySelector(".empty")?.remove();
  if (!shots().length) {
    scroller.append(
      h("div", { class: "empty" }, h("p", {}, "The story begins here."), button("Add the first shot", addShot, { shape: "add", class: "primary" })),
    );
  }
  root.parentElement.querySelector(".timeline-length").textContent =
    `${shots().length} ${shots().length === 1 ? "shot" : "shots"} · ${clock(view.project.seconds)}`;
  root.setAttribute("aria-activedescendant", current() ? `clip-${current().id}` : "");
  drawRuler();
  const list = shots().map((shot, index) => ({ shot, place: lane.places[index], number: index + 1 }));
  reconcile(lane.element, list, ({ shot }) => shot.id, makeClip, updateClip);
  reconcile(captions, list, ({ shot }) => shot.id, makeCaption, updateCaption);
  moveHead();
  root.dataset.revision = view.project.revision;
}

function drawRuler() {
  const step = [0.5, 1, 2, 5, 10, 30, 60].find((s) => s * lane.scale >= 64) ?? 60;
  const marks = [];
  for (let t = 0; t <= view.project.seconds + 1e-6; t += step) marks.push(t);
  reconcile(
    ruler,
    marks,
    (t) => t,
    () => h("span", { class: "tick" }),
    (tick, t) => {
      tick.style.left = `${xOf(t)}px`;
      tick.textContent = step < 1 ? `${clock(t)}${t % 1 ? ".5" : ""}` : clock(t);
    },
  );
}

// The playhead

function scrub(event) {
  if (event.button !== 0) return;
  root.focus({ preventScroll: true });
  ruler.setPointerCapture(event.pointerId);
  const move = (e) => seek(timeAt(xIn(e)));
  const done = () => ruler.removeEventListener("pointermove", move);
  ruler.addEventListener("pointermove", move);
  ruler.addEventListener("pointerup", done, { once: true });
  ruler.addEventListener("pointercancel", done, { once: true });
  move(event);
}

function moveHead() {
  if (!head || !view.project) return;
  const x = xOf(view.playhead);
  head.style.transform = `translateX(${x}px)`;
  head.hidden = !lane.places.length;
  if (view.playing && (x < scroller.scrollLeft + 20 || x > scroller.scrollLeft + scroller.clientWidth - 60)) scroller.scrollLeft = x - 80;
}

function reveal() {
  const place = placeOf(view.selected.at(-1));
  if (!place || view.playing) return;
  if (place.left < scroller.scrollLeft) scroller.scrollLeft = place.left - 20;
  else if (place.left + place.width > scroller.scrollLeft + scroller.clientWidth) scroller.scrollLeft = place.left + place.width - scroller.clientWidth + 40;
}

function wheel(event) {
  if (!event.ctrlKey) {
    if (!event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX) && scroller.scrollWidth > scroller.clientWidth) {
      scroller.scrollLeft += event.deltaY;
      event.preventDefault();
    }
    return;
  }
  event.preventDefault();
  const x = xIn(event);
  const time = timeAt(x);
  zoomTo(lane.scale * Math.exp(-event.deltaY / 300));
  scroller.scrollLeft += xOf(time) - x;
}
