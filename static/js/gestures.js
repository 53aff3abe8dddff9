// What the pointer does to clips: selecting, dragging to another place, dragging edges.

import { h } from "./dom.js";
import { lane, placeOf, timeAt, xIn } from "./layout.js";
import { edit, seek, select, shotOf, shots, tell, view } from "./store.js";

const LEAST = 0.5; // s
const MOST = 10; // s
const SNAP = 7; // px

// Selects, and follows the pointer while it drags a clip or an edge of one.
export function press(event, id) {
  if (event.button !== 0) return;
  document.querySelector(".timeline").focus({ preventScroll: true });
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
  lane.gesture = null;
  const move = handle ? (e) => trimming(begin, e, handle.classList.contains("left")) : (e) => dragging(begin, e);
  const done = (e) => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", done);
    window.removeEventListener("pointercancel", done);
    window.removeEventListener("keydown", escape, true);
    lane.marker.hidden = true;
    const finished = lane.gesture;
    lane.gesture = null;
    for (const clip of lane.element.children) (clip.style.transform = ""), clip.classList.remove("dragged");
    if (!begin.moved && !handle) {
      select([id]);
      seek(timeAt(xIn(e)));
    }
    tell("timeline");
    if (e.type === "pointerup" && finished?.command) edit(finished.command);
  };
  const escape = (e) => {
    if (e.key !== "Escape") return;
    e.stopPropagation();
    lane.gesture = { command: null };
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
  const x = xIn(event);
  let to = lane.places.findIndex((place) => x < place.left + place.width / 2);
  if (to < 0) to = lane.places.length;
  for (const id of view.selected) {
    const clip = lane.element.querySelector(`[data-key="${CSS.escape(id)}"]`);
    clip.style.transform = `translateX(${by}px)`;
    clip.classList.add("dragged");
  }
  lane.marker.hidden = false;
  const at = lane.places[to]?.left ?? lane.places.at(-1).left + lane.places.at(-1).width;
  lane.marker.style.left = `${at}px`;
  const order = shots().map((shot) => shot.id);
  const stays = (id) => !view.selected.includes(id);
  const moved = [...order.slice(0, to).filter(stays), ...order.filter((id) => !stays(id)), ...order.slice(to).filter(stays)];
  lane.gesture = { command: moved.join() !== order.join() && { op: "move", shots: view.selected, to } };
}

function trimming(begin, event, left) {
  begin.moved = true;
  const { shot } = begin;
  const by = (event.clientX - begin.x) / lane.scale;
  const found = trimmed(shot, by, left, SNAP / lane.scale);
  const clip = lane.element.querySelector(`[data-key="${CSS.escape(shot.id)}"]`);
  const place = placeOf(shot.id);
  const width = found.seconds * lane.scale;
  Object.assign(clip.style, { width: `${width}px`, left: `${left ? place.left + place.width - width : place.left}px` });
  clip.querySelector(".clip-state").replaceChildren(h("span", {}, `${found.seconds.toFixed(2)} s`));
  clip.querySelector(".clip-state").dataset.words = "";
  lane.gesture = { command: Math.abs(by) > 1e-6 && { op: "trim", shot: shot.id, ...found } };
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
