// The keyboard: every gesture of the timeline, and the sheet that lists them.

import { current, edit, redo, render, seek, select, shotAt, shotOf, shots, tell, undo, view } from "./store.js";
import { pause, play, toggle } from "./player.js";
import { trimmed } from "./gestures.js";
import { steered } from "./steering.js";
import { addShot, fit, zoomBy } from "./timeline.js";
import { editCaption } from "./writing.js";

const frame = () => 1 / view.project.fps;
const edges = () => [...new Set([0, ...shots().filter((s) => !s.skip).map((s) => s.begins), view.project.seconds])];

function step(by, extend) {
  const list = shots().map((shot) => shot.id);
  const at = list.indexOf(view.selected.at(-1));
  const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
  if (!next) return;
  select(extend ? [...view.selected.filter((id) => id !== next), next] : [next]);
  const shot = shotOf(next);
  if (!extend && !shot.skip) seek(shot.begins);
}

function cut(direction) {
  const t = view.playhead;
  const next = direction > 0 ? edges().find((edge) => edge > t + 1e-3) : edges().findLast((edge) => edge < t - 1e-3);
  if (next === undefined) return;
  seek(next);
  const shot = shotAt(next);
  if (shot) select([shot.id]);
}

const moveSelected = (direction) =>
  edit(() => {
    const list = shots().map((shot) => shot.id);
    const places = view.selected.map((id) => list.indexOf(id));
    const to = direction < 0 ? Math.min(...places) - 1 : Math.max(...places) + 2;
    return to >= 0 && to <= list.length && { op: "move", shots: view.selected, to };
  });

const trimBy = (frames, left) =>
  edit(() => {
    const shot = current();
    return shot && { op: "trim", shot: shot.id, ...trimmed(shot, frames * frame(), left) };
  });

const split = () =>
  edit(() => {
    const shot = shotAt(view.playhead);
    return shot && { op: "split", shot: shot.id, at: Math.round((view.playhead - shot.begins) * view.project.fps) / view.project.fps };
  });

const otherTake = (by) =>
  edit(() => {
    const takes = current()?.takes.filter((take) => !take.discarded) ?? [];
    const next = takes[takes.findIndex((take) => take.id === current().take) + by];
    return next && { op: "choose", shot: current().id, take: next.id };
  });

// Steers the selected shot by the one under the pointer, or else by the one before it.
function steer(kind) {
  const over = view.hovered;
  return edit(() => {
    const shot = current();
    const other = shotOf(over) ?? shots()[shots().indexOf(shot) - 1];
    return shot && other && other.id !== shot.id && steered(shot, kind, other.id);
  });
}

const selected = (op, more = () => ({})) => () => edit(() => current() && { op, shots: view.selected, ...more() });
const flag = (op, word) => selected(op, () => ({ on: !current()[word] }));

const KEYS = [
  ["Space", "play or pause", { " ": () => toggle() }],
  ["J K L", "play backwards, stop, play (again: faster)", { j: () => play(-1), k: () => pause(), l: () => play(1) }],
  ["← →", "one frame (Shift: one second)", { ArrowLeft: () => seek(view.playhead - frame()), ArrowRight: () => seek(view.playhead + frame()), "Shift+ArrowLeft": () => seek(view.playhead - 1), "Shift+ArrowRight": () => seek(view.playhead + 1) }],
  ["↑ ↓", "previous or next cut", { ArrowUp: () => cut(-1), ArrowDown: () => cut(1) }],
  ["Shift + ↑ ↓", "extend the selection", { "Shift+ArrowUp": () => step(-1, true), "Shift+ArrowDown": () => step(1, true) }],
  ["Home End", "to the start or the end", { Home: () => seek(0), End: () => seek(view.project.seconds) }],
  ["S", "split at the playhead", { s: split }],
  ["Alt + ← →", "move the shot", { "Alt+ArrowLeft": () => moveSelected(-1), "Alt+ArrowRight": () => moveSelected(1) }],
  [", .", "trim the end by a frame (Shift: by ten)", { ",": () => trimBy(-1), ".": () => trimBy(1), "<": () => trimBy(-10), ">": () => trimBy(10), "Shift+,": () => trimBy(-10), "Shift+.": () => trimBy(10), "Shift+<": () => trimBy(-10), "Shift+>": () => trimBy(10), "Shift+;": () => trimBy(-10), "Shift+:": () => trimBy(10) }],
  ["Alt + , .", "trim the beginning by a frame", { "Alt+,": () => trimBy(-1, true), "Alt+.": () => trimBy(1, true) }],
  ["A", "show or hide where the selected shot remembers from", { a: async () => ((await import("./arcs.js")).toggleArcs(), tell("arcs")) }],
  ["N", "add a shot", { n: addShot }],
  ["E", "edit the caption", { e: () => editCaption(), Enter: () => editCaption() }],
  ["D", "duplicate", { d: selected("duplicate") }],
  ["Delete", "delete", { Delete: selected("delete"), Backspace: selected("delete") }],
  ["Shift + L", "lock or unlock", { "Shift+L": flag("lock", "lock") }],
  ["M", "skip or bring back", { m: flag("skip", "skip") }],
  ["P X B", "pin, ban or boost the shot under the pointer (else the one before) as context of the selected one", { p: () => steer("pin"), x: () => steer("ban"), b: () => steer("boost") }],
  ["R", "render the selected shots", { r: () => current() && render({ shots: view.selected }) }],
  ["Shift + R", "render outdated shots", { "Shift+R": () => render({ scope: "due" }) }],
  ["[ ]", "previous or next take", { "[": () => otherTake(-1), "]": () => otherTake(1) }],
  ["Ctrl + A", "select every shot", { "Ctrl+a": () => select(shots().map((shot) => shot.id)) }],
  ["+ − Ctrl + 0", "zoom in, out, fit", { "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "Shift++": () => zoomBy(1.25), "-": () => zoomBy(0.8), "Ctrl+0": fit }],
  ["Ctrl + Z", "undo", { "Ctrl+z": undo }],
  ["Ctrl + Shift + Z, Ctrl + Y", "redo", { "Ctrl+Shift+Z": redo, "Ctrl+y": redo }],
  ["?", "this list", { "?": () => sheet(), "Shift+?": () => sheet() }],
];
const ACTIONS = Object.assign({}, ...KEYS.map(([, , actions]) => actions));
const ANYWHERE = new Set(["Ctrl+z", "Ctrl+Shift+Z", "Ctrl+y", "Ctrl+0"]);
const PLAIN = new Set(["INPUT", "TEXTAREA", "SELECT"]);

function named(event) {
  const key = event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${key}`;
}

export function pressed(event) {
  if (!view.project || PLAIN.has(event.target.tagName) || event.target.isContentEditable) return;
  const name = named(event);
  const action = ACTIONS[name];
  const here = document.activeElement?.closest?.("[data-keys]") || document.activeElement === document.body;
  if (!action || !(here || ANYWHERE.has(name))) return;
  event.preventDefault();
  action();
}

export const sheet = async () => (await import("./sheet.js")).toggle(KEYS);
