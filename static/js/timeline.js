// The timeline: ruler, clips, captions. Everything by mouse can be done by keyboard too (see keys.js).

import { fileOf, post } from "./api.js";
import { button, clock, h, icon, reconcile, underlined } from "./dom.js";
import { current, edit, jobOf, on, seek, select, shotOf, shots, start, tell, view } from "./store.js";

const SKIPPED = 30; // px
const PICTURES = 8; // in a filmstrip
const LEAST = 0.5; // s
const MOST = 10; // s
const SNAP = 7; // px
const LEGIBLE = 40; // px per second

let root, scroller, lane, captions, ruler, head, marker, zoomer;
let scale = 60; // px per second
let places = []; // {id, left, width, begins, seconds, skip}
let gesture = null;

export function mount(element) {
  marker = h("div", { class: "drop-marker", hidden: true });
  head = h("div", { class: "playhead" }, h("div", { class: "playhead-grip" }));
  ruler = h("div", { class: "ruler", onpointerdown: scrub });
  lane = h("div", { class: "clips" });
  captions = h("div", { class: "captions" });
  scroller = h("div", { class: "timeline-scroll" }, h("div", { class: "timeline-body" }, ruler, lane, captions, head, marker));
  zoomer = h("input", { type: "range", min: 8, max: 240, value: scale, "aria-label": "Zoom", oninput: () => zoomTo(Number(zoomer.value)) });
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
    button("Zoom out", () => zoomTo(scale / 1.25), { text: false, shape: "minus" }),
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
      zoomTo(Math.max(scale, LEGIBLE));
    } else draw();
  });
  on("queue", draw);
  on("selection", () => (draw(), reveal()));
  on("playhead", moveHead);
  start();
}

export function zoomTo(value) {
  scale = Math.max(8, Math.min(240, value));
  zoomer.value = scale;
  draw();
}
export const zoomBy = (factor) => zoomTo(scale * factor);

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

export function editCaption(id = current()?.id) {
  if (!id) return;
  view.editing = id;
  draw();
  const field = captions.querySelector(`[data-key="${CSS.escape(id)}"] textarea`);
  field?.focus();
  field?.select();
}

function layout() {
  let left = 0;
  places = shots().map((shot) => {
    const width = shot.skip ? SKIPPED : Math.max(shot.seconds * scale, 12);
    const place = { id: shot.id, left, width, begins: shot.begins, seconds: shot.skip ? 0 : shot.seconds, skip: shot.skip };
    left += width;
    return place;
  });
  return left;
}

function xOf(seconds) {
  const place = places.findLast((p) => !p.skip && p.begins <= seconds + 1e-6);
  if (!place) return 0;
  return place.left + Math.min(1, (seconds - place.begins) / place.seconds) * place.width;
}

function timeAt(x) {
  const place = places.find((p) => x < p.left + p.width) ?? places.at(-1);
  if (!place) return 0;
  if (place.skip) return place.begins;
  return place.begins + Math.max(0, Math.min(1, (x - place.left) / place.width)) * place.seconds;
}

const localX = (event) => event.clientX - lane.getBoundingClientRect().left;

function draw() {
  if (!root || !view.project || gesture) return;
  const width = layout();
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
  const list = shots().map((shot, index) => ({ shot, place: places[index], number: index + 1 }));
  reconcile(lane, list, ({ shot }) => shot.id, makeClip, updateClip);
  reconcile(captions, list, ({ shot }) => shot.id, makeCaption, updateCaption);
  moveHead();
}

function drawRuler() {
  const step = [0.5, 1, 2, 5, 10, 30, 60].find((s) => s * scale >= 64) ?? 60;
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

const WORDS = {
  unwritten: "no caption yet",
  missing: "not rendered yet",
  fresh: "up to date",
  outdated: "outdated",
  worth: "worth re-rendering",
  locked: "locked",
  skipped: "skipped",
  queued: "waiting",
  running: "rendering",
};
const ICONS = { unwritten: "dots", missing: "dots", fresh: "check", outdated: "clock", worth: "warn", locked: "lock", skipped: "skip", queued: "clock", running: "play" };

export function standing(shot) {
  const job = jobOf(shot.id);
  if (job) return job.state;
  if (shot.skip) return "skipped";
  if (shot.state === "unwritten") return "unwritten";
  if (shot.state === "missing") return "missing";
  if (shot.lock) return "locked";
  if (shot.worth) return "worth";
  return shot.state;
}

export function standingWords(shot) {
  const state = standing(shot);
  const job = jobOf(shot.id);
  if (state === "running" && job.steps) return `rendering ${Math.round((100 * job.step) / job.steps)}%`;
  return WORDS[state];
}

function makeClip({ shot }) {
  const id = shot.id;
  const clip = h(
    "div",
    { class: "clip", id: `clip-${id}`, role: "option" },
    h("div", { class: "pictures" }),
    h("div", { class: "clip-number" }),
    h("div", { class: "clip-flags" }),
    h("div", { class: "clip-state" }),
    h("div", { class: "progress" }),
    h("div", { class: "handle left", title: "Trim the beginning" }),
    h("div", { class: "handle right", title: "Trim the end" }),
  );
  clip.addEventListener("pointerdown", (event) => press(event, id));
  clip.addEventListener("dblclick", () => editCaption(id));
  clip.addEventListener("pointerenter", () => (view.hovered = id));
  clip.addEventListener("pointerleave", () => view.hovered === id && (view.hovered = null));
  return clip;
}

function updateClip(clip, { shot, place, number }) {
  const state = standing(shot);
  const selected = view.selected.includes(shot.id);
  const words = standingWords(shot);
  Object.assign(clip.style, { left: `${place.left}px`, width: `${place.width}px` });
  const marks = { selected, skip: shot.skip, narrow: place.width < 84, pinned: current()?.pins.includes(shot.id), banned: current()?.bans.includes(shot.id) };
  clip.className = `clip is-${state} ${Object.keys(marks).filter((mark) => marks[mark]).join(" ")}`;
  clip.setAttribute("aria-selected", String(selected));
  const reasons = shot.reasons.length ? `: ${shot.reasons.join("; ")}` : "";
  clip.setAttribute("aria-label", `Shot ${number}, ${shot.caption || "no caption yet"}, ${shot.seconds} seconds, ${words}${reasons}${shot.lock ? ", locked" : ""}`);
  clip.title = `Shot ${number} · ${words}${reasons}`;
  clip.querySelector(".clip-number").textContent = number;
  const flags = [shot.lock && "lock", shot.skip && "skip", shot.pins.length && "pin"].filter(Boolean).join(" ");
  const box = clip.querySelector(".clip-flags");
  if (box.dataset.flags !== flags) {
    box.dataset.flags = flags;
    box.replaceChildren(...flags.split(" ").filter(Boolean).map(icon));
  }
  const label = clip.querySelector(".clip-state");
  if (label.dataset.words !== words) {
    label.dataset.words = words;
    label.replaceChildren(icon(ICONS[state]), h("span", {}, words));
  }
  const job = jobOf(shot.id);
  clip.querySelector(".progress").style.width = job?.state === "running" && job.steps ? `${(100 * job.step) / job.steps}%` : "0";
  drawPictures(clip.querySelector(".pictures"), shot, place.width);
}

// As many pictures as fit, each of its own moment of the take.
function drawPictures(box, shot, width) {
  const take = shot.takes.find((candidate) => candidate.id === shot.take);
  const [w, hgt] = take?.size ?? view.project.size;
  const each = (64 * w) / hgt;
  const count = Math.max(1, Math.ceil(width / each));
  const key = take ? `${take.id} ${count} ${shot.trim} ${shot.seconds}` : "";
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const picture = take && `url("${fileOf(view.project.id, take.id, "thumbnail")}")`;
  box.replaceChildren(
    ...(take ? [...Array(count).keys()] : []).map((index) => {
      const moment = (shot.trim + ((index + 0.5) / count) * shot.seconds) / take.seconds;
      const frame = Math.max(0, Math.min(PICTURES - 1, Math.floor(moment * PICTURES)));
      return h("div", {
        class: "picture",
        style: { width: `${each}px`, backgroundImage: picture, backgroundSize: `${PICTURES * 100}% 100%`, backgroundPositionX: `${(100 * frame) / (PICTURES - 1)}%` },
      });
    }),
  );
}

function makeCaption({ shot }) {
  const id = shot.id;
  return h("div", { class: "caption", onclick: () => (select([id]), editCaption(id)) });
}

function updateCaption(box, { shot, place }) {
  Object.assign(box.style, { left: `${place.left}px`, width: `${place.width}px` });
  const editing = view.editing === shot.id;
  box.classList.toggle("editing", editing);
  box.classList.toggle("skip", shot.skip);
  if (editing) {
    if (!box.querySelector("textarea")) typing(box, shot);
    return;
  }
  const key = JSON.stringify([shot.caption, shot.unknown]);
  if (box.dataset.text === key && !box.querySelector("textarea")) return;
  box.dataset.text = key;
  box.replaceChildren(...(shot.caption ? underlined(shot.caption, shot.unknown) : [h("span", { class: "quiet" }, "Write what happens…")]));
}

function typing(box, shot) {
  const below = h("div", { class: "typed", "aria-hidden": "true" });
  const field = h("textarea", { value: shot.caption, "aria-label": `Caption of shot ${shots().indexOf(shot) + 1}`, spellcheck: false, maxLength: 2000 });
  let asked = 0;
  const check = async () => {
    const turn = ++asked;
    below.replaceChildren(field.value);
    const spans = await post(`/projects/${view.project.id}/unknown`, { text: field.value }).catch(() => []);
    if (turn === asked) below.replaceChildren(...underlined(field.value, spans));
  };
  let over = false;
  const close = async (keep) => {
    if (over) return;
    over = true;
    const text = field.value.trim().replace(/\s+/g, " ");
    view.editing = null;
    if (keep && text !== shotOf(shot.id)?.caption && !(await edit({ op: "caption", shot: shot.id, caption: text }))) {
      view.editing = shot.id; // what was typed stays
      over = false;
      return;
    }
    box.dataset.text = "";
    draw();
  };
  field.addEventListener("input", check);
  field.addEventListener("blur", () => close(true));
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      close(true).then(() => root.focus());
    } else if (event.key === "Escape") close(false).then(() => root.focus());
    else if (event.key === "Tab") {
      const list = shots();
      const next = list[list.findIndex((other) => other.id === shot.id) + (event.shiftKey ? -1 : 1)];
      if (!next) return;
      event.preventDefault();
      close(true).then(() => (select([next.id]), editCaption(next.id)));
    }
  });
  box.replaceChildren(below, field);
  check();
}

// Selecting, dragging, trimming

function press(event, id) {
  if (event.button !== 0) return;
  root.focus({ preventScroll: true });
  const list = shots().map((shot) => shot.id);
  if (event.shiftKey && view.selected.length) {
    const from = list.indexOf(view.selected.at(-1));
    const to = list.indexOf(id);
    const run = list.slice(Math.min(from, to), Math.max(from, to) + 1).filter((other) => other !== view.selected.at(-1));
    select([...new Set([...view.selected.slice(0, -1), ...run, view.selected.at(-1)])]);
    return;
  }
  if (event.ctrlKey || event.metaKey) {
    const rest = view.selected.filter((other) => other !== id);
    select(view.selected.includes(id) && rest.length ? rest : [...rest, id]);
    return;
  }
  const handle = event.target.closest(".handle");
  if (!view.selected.includes(id) || handle) select([id]);
  const shot = shotOf(id);
  const begin = { x: event.clientX, id, shot, moved: false };
  gesture = null;
  const move = handle ? (e) => trimming(begin, e, handle.classList.contains("left")) : (e) => dragging(begin, e);
  const done = (e) => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", done);
    window.removeEventListener("pointercancel", done);
    window.removeEventListener("keydown", escape, true);
    marker.hidden = true;
    const finished = gesture;
    gesture = null;
    for (const clip of lane.children) (clip.style.transform = ""), clip.classList.remove("dragged");
    if (!begin.moved && !handle) {
      select([id]);
      seek(timeAt(localX(e)));
    }
    draw();
    if (e.type === "pointerup" && finished?.command) edit(finished.command);
  };
  const escape = (e) => {
    if (e.key !== "Escape") return;
    e.stopPropagation();
    gesture = { command: null };
    done(new PointerEvent("pointercancel"));
    begin.moved = true;
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", done);
  window.addEventListener("pointercancel", done);
  window.addEventListener("keydown", escape, true);
}

function dragging(begin, event) {
  const by = event.clientX - begin.x;
  if (!begin.moved && Math.abs(by) < 5) return;
  begin.moved = true;
  const x = localX(event);
  let to = places.findIndex((place) => x < place.left + place.width / 2);
  if (to < 0) to = places.length;
  for (const id of view.selected) {
    const clip = lane.querySelector(`[data-key="${CSS.escape(id)}"]`);
    clip.style.transform = `translateX(${by}px)`;
    clip.classList.add("dragged");
  }
  marker.hidden = false;
  const at = places[to]?.left ?? places.at(-1).left + places.at(-1).width;
  marker.style.left = `${at}px`;
  const order = shots().map((shot) => shot.id);
  const stays = (id) => !view.selected.includes(id);
  const moved = [...order.slice(0, to).filter(stays), ...order.filter((id) => !stays(id)), ...order.slice(to).filter(stays)];
  gesture = { command: moved.join() !== order.join() && { op: "move", shots: view.selected, to } };
}

function trimming(begin, event, left) {
  begin.moved = true;
  const { shot } = begin;
  const by = (event.clientX - begin.x) / scale;
  const found = trimmed(shot, by, left, SNAP / scale);
  const clip = lane.querySelector(`[data-key="${CSS.escape(shot.id)}"]`);
  const place = places.find((p) => p.id === shot.id);
  const width = found.seconds * scale;
  Object.assign(clip.style, { width: `${width}px`, left: `${left ? place.left + place.width - width : place.left}px` });
  clip.querySelector(".clip-state").replaceChildren(h("span", {}, `${found.seconds.toFixed(2)} s`));
  clip.querySelector(".clip-state").dataset.words = "";
  gesture = { command: Math.abs(by) > 1e-6 && { op: "trim", shot: shot.id, ...found } };
}

// The shot's in point and length after its left or right edge moved by so many seconds; edges snap to the
// ends of its take, to the playhead and to half seconds.
export function trimmed(shot, by, left, snap = 0) {
  const fps = view.project.fps;
  const take = shot.takes.find((candidate) => candidate.id === shot.take);
  const frames = (value) => Math.round(value * fps) / fps;
  const near = (value, targets) => {
    const best = targets.filter((t) => Math.abs(t - value) <= snap).sort((a, b) => Math.abs(a - value) - Math.abs(b - value))[0];
    return best ?? frames(value);
  };
  const end = shot.trim + shot.seconds;
  const head = view.playhead - shot.begins + shot.trim;
  if (left) {
    const wanted = near(shot.trim + by, [0, head, Math.round((shot.trim + by) * 2) / 2]);
    const trim = Math.max(0, end - MOST, Math.min(wanted, end - LEAST));
    return { trim: round(trim), seconds: round(end - trim) };
  }
  const wanted = near(end + by, [take?.seconds ?? -1, head, shot.trim + Math.round((end + by - shot.trim) * 2) / 2]);
  const stop = Math.max(shot.trim + LEAST, Math.min(wanted, MOST));
  return { trim: shot.trim, seconds: round(stop - shot.trim) };
}

const round = (value) => Math.round(value * 1e6) / 1e6;

// Playhead

function scrub(event) {
  if (event.button !== 0) return;
  root.focus({ preventScroll: true });
  ruler.setPointerCapture(event.pointerId);
  const move = (e) => seek(timeAt(localX(e)));
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
  head.hidden = !places.length;
  if (view.playing && (x < scroller.scrollLeft + 20 || x > scroller.scrollLeft + scroller.clientWidth - 60)) scroller.scrollLeft = x - 80;
}

function reveal() {
  const place = places.find((p) => p.id === view.selected.at(-1));
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
  const x = localX(event);
  const time = timeAt(x);
  zoomTo(scale * Math.exp(-event.deltaY / 300));
  scroller.scrollLeft += xOf(time) - x;
}

