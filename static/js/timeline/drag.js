// Pointer gestures on clips: selecting, dragging to another position, dragging edges.

import { sendEdit } from "../common/commands.js";
import { fill, h, part } from "../common/dom.js";
import {
  openProjectState,
  page,
  publish,
  seek,
  select,
  shotById,
  shotIndex,
  shots,
  shownTake,
} from "../common/state.js";
import { boxOf, lane, timeAtX, xInLane } from "./layout.js";

const SHORTEST = 0.5; // s
const LONGEST = 60;
const SNAP = 7; // px
const CLICK = 5; // px that a click may move

/** @typedef {{ x: number, shot: Shot, edge: "left" | "right" | null, moved: boolean }} Press */

/**
 * Selects a clip, and follows the pointer while it drags the clip or an edge of it.
 * @param {PointerEvent} event
 * @param {string} id
 */
export function pressClip(event, id) {
  const shot = shotById(id);
  if (event.button !== 0 || !shot) return;
  const timeline = document.querySelector(".timeline");
  if (timeline instanceof HTMLElement) timeline.focus({ preventScroll: true });
  if (event.shiftKey && page.selected.length) return selectTo(id);
  if (event.ctrlKey || event.metaKey) return toggleSelected(id);
  const handle = event.target instanceof Element ? event.target.closest(".handle") : null;
  if (!page.selected.includes(id) || handle) select([id]);
  const edge = !handle ? null : handle.classList.contains("left") ? "left" : "right";
  follow({ x: event.clientX, shot, edge, moved: false });
}

/** Extends the selection from the shot clicked last to another. @param {string} id */
function selectTo(id) {
  const last = /** @type {string} */ (page.selected.at(-1));
  const [from, to] = [shotIndex(last), shotIndex(id)].sort((a, b) => a - b);
  const between = shots().slice(from, to + 1);
  const added = between.map((shot) => shot.id).filter((other) => other !== last);
  select([...new Set([...page.selected.slice(0, -1), ...added, last])]);
}

/** @param {string} id */
function toggleSelected(id) {
  const rest = page.selected.filter((other) => other !== id);
  select(page.selected.includes(id) && rest.length ? rest : [...rest, id]);
}

/** @param {Press} press */
function follow(press) {
  const listeners = new AbortController();
  const { signal } = listeners;
  const stop = () => {
    listeners.abort();
    const gesture = lane.gesture;
    lane.gesture = null;
    lane.marker.hidden = true;
    for (const clip of lane.element.children) {
      if (clip instanceof HTMLElement) clip.style.transform = "";
      clip.classList.remove("dragged");
    }
    return gesture;
  };
  const move = (/** @type {PointerEvent} */ event) =>
    press.edge ? dragEdge(press, event) : dragClips(press, event);
  const drop = (/** @type {PointerEvent} */ event) => {
    const gesture = stop();
    if (!press.moved && !press.edge) {
      select([press.shot.id]);
      seek(timeAtX(xInLane(event)));
    }
    publish("timeline");
    if (gesture?.edit) sendEdit(gesture.edit);
  };
  const cancel = () => {
    stop();
    publish("timeline");
  };
  const cancelByKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    cancel();
  };
  lane.gesture = null;
  window.addEventListener("pointermove", move, { signal });
  window.addEventListener("pointerup", drop, { signal });
  window.addEventListener("pointercancel", cancel, { signal });
  window.addEventListener("keydown", cancelByKey, { signal, capture: true });
}

/**
 * @param {Press} press
 * @param {PointerEvent} event
 */
function dragClips(press, event) {
  const by = event.clientX - press.x;
  if (!press.moved && Math.abs(by) < CLICK) return;
  press.moved = true;
  const x = xInLane(event);
  const found = lane.boxes.findIndex((box) => x < box.left + box.width / 2);
  const to = found < 0 ? lane.boxes.length : found;
  for (const id of page.selected) {
    const clip = clipOf(id);
    clip.style.transform = `translateX(${by}px)`;
    clip.classList.add("dragged");
  }
  const last = lane.boxes.at(-1);
  lane.marker.hidden = false;
  lane.marker.style.left = `${lane.boxes[to]?.left ?? (last ? last.left + last.width : 0)}px`;
  const order = shots().map((shot) => shot.id);
  const stays = (/** @type {string} */ id) => !page.selected.includes(id);
  const dragged = order.filter((id) => !stays(id));
  const moved = [...order.slice(0, to).filter(stays), ...dragged, ...order.slice(to).filter(stays)];
  const changes = moved.join() !== order.join();
  lane.gesture = { edit: changes ? { op: "move", shots: page.selected, to } : null };
}

/**
 * @param {Press} press
 * @param {PointerEvent} event
 */
function dragEdge(press, event) {
  press.moved = true;
  const { shot } = press;
  const left = press.edge === "left";
  const by = (event.clientX - press.x) / lane.scale;
  const found = trimmed(shot, by, left, SNAP / lane.scale);
  const box = boxOf(shot.id);
  if (!box) return;
  const clip = clipOf(shot.id);
  const width = found.seconds * lane.scale;
  const start = left ? box.left + box.width - width : box.left;
  Object.assign(clip.style, { width: `${width}px`, left: `${start}px` });
  const state = part(clip, ".clip-state");
  fill(state, h("span", {}, `${found.seconds.toFixed(2)} s`));
  state.dataset.words = "";
  lane.gesture = { edit: Math.abs(by) > 1e-6 ? { op: "trim", shot: shot.id, ...found } : null };
}

/** @param {string} id */
const clipOf = (id) => part(lane.element, `[data-key="${CSS.escape(id)}"]`);

/**
 * The shot's in point and length after its left or right edge was moved by so many seconds. Edges snap to the ends
 * of the take, to the playhead and to half seconds.
 * @param {Shot} shot
 * @param {number} by
 * @param {boolean} left
 * @param {number} snap in seconds
 */
export function trimmed(shot, by, left, snap = 0) {
  const { fps } = openProjectState();
  const take = shownTake(shot);
  const snapped = (/** @type {number} */ value, /** @type {number[]} */ targets) => {
    const distance = (/** @type {number} */ target) => Math.abs(target - value);
    const near = targets
      .filter((target) => distance(target) <= snap)
      .sort((a, b) => distance(a) - distance(b));
    return near[0] ?? Math.round(value * fps) / fps;
  };
  const halves = (/** @type {number} */ value) => Math.round(value * 2) / 2;
  const end = shot.trim + shot.seconds;
  const playhead = page.playhead - shot.begins + shot.trim;
  if (left) {
    const wanted = snapped(shot.trim + by, [0, playhead, halves(shot.trim + by)]);
    const trim = Math.max(0, end - LONGEST, Math.min(wanted, end - SHORTEST));
    return { trim: rounded(trim), seconds: rounded(end - trim) };
  }
  const targets = [playhead, shot.trim + halves(shot.seconds + by)];
  const wanted = snapped(end + by, take ? [take.seconds, ...targets] : targets);
  const stop = Math.max(shot.trim + SHORTEST, Math.min(wanted, LONGEST));
  return { trim: shot.trim, seconds: rounded(stop - shot.trim) };
}

/** To a millionth of a second. @param {number} value */
const rounded = (value) => Math.round(value * 1e6) / 1e6;
