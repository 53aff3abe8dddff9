// Keyboard shortcuts: every gesture of the timeline, and what the list of them shows.

import { redo, renderShots, sendEdit, undo } from "../common/commands.js";
import { keyName } from "../common/key-name.js";
import {
  openProjectState,
  page,
  seek,
  select,
  selectedShot,
  shotAt,
  shotById,
  shotIndex,
  shots,
} from "../common/state.js";
import { toggledSteering } from "../common/steering.js";
import { pause, play, togglePlay } from "../player/player.js";
import { editCaption } from "../timeline/captions.js";
import { trimmed } from "../timeline/drag.js";
import { addShot, fitZoom, zoomBy } from "../timeline/timeline.js";

const ZOOM_STEP = 1.25;

const frame = () => 1 / openProjectState().fps;

/** @param {number} by seconds */
const seekBy = (by) => seek(page.playhead + by);

/** Extends the selection to the next or previous shot. @param {number} by */
function extendSelection(by) {
  const index = shotIndex(page.selected.at(-1)) + by;
  const next = shots()[Math.max(0, Math.min(shots().length - 1, index))];
  if (next) select([...page.selected.filter((id) => id !== next.id), next.id]);
}

/** Goes to the next or previous cut. @param {number} direction */
function seekCut(direction) {
  const shown = shots().filter((shot) => !shot.skip);
  const cuts = [...new Set([0, ...shown.map((shot) => shot.begins), openProjectState().seconds])];
  const next =
    direction > 0
      ? cuts.find((cut) => cut > page.playhead + 1e-3)
      : cuts.findLast((cut) => cut < page.playhead - 1e-3);
  if (next === undefined) return;
  seek(next);
  const shot = shotAt(next);
  if (shot) select([shot.id]);
}

/** @param {number} direction */
const moveSelected = (direction) =>
  sendEdit(() => {
    const indices = page.selected.map(shotIndex);
    const to = direction < 0 ? Math.min(...indices) - 1 : Math.max(...indices) + 2;
    return to >= 0 && to <= shots().length && { op: "move", shots: page.selected, to };
  });

/**
 * @param {number} frames
 * @param {boolean} left
 */
const trimBy = (frames, left = false) =>
  sendEdit(() => {
    const shot = selectedShot();
    return shot && { op: "trim", shot: shot.id, ...trimmed(shot, frames * frame(), left) };
  });

const split = () =>
  sendEdit(() => {
    const shot = shotAt(page.playhead);
    const { fps } = openProjectState();
    return shot && { op: "split", shot: shot.id, at: Math.round((page.playhead - shot.begins) * fps) / fps };
  });

/** Chooses the next or previous take of the selected shot. @param {number} by */
const chooseTake = (by) =>
  sendEdit(() => {
    const shot = selectedShot();
    const takes = shot?.takes.filter((take) => !take.discarded) ?? [];
    const next = takes[takes.findIndex((take) => take.id === shot?.take) + by];
    return shot && next && { op: "choose", shot: shot.id, take: next.id };
  });

/** Steers the selected shot by the one under the pointer, else by the one before it. @param {Steering} kind */
function steer(kind) {
  const hovered = page.hovered;
  return sendEdit(() => {
    const shot = selectedShot();
    const other = shotById(hovered) ?? shots()[shotIndex(shot?.id) - 1];
    return shot && other && other.id !== shot.id && toggledSteering(shot, kind, other.id);
  });
}

/** @param {string} op */
const editSelected = (op) => () => sendEdit(() => selectedShot() && { op, shots: page.selected });

/** @param {"lock" | "skip"} flag */
const toggleFlag = (flag) => () =>
  sendEdit(() => {
    const shot = selectedShot();
    return shot && { op: flag, shots: page.selected, on: !shot[flag] };
  });

const toggleArcs = async () => (await import("../timeline/context-arcs.js")).toggleArcs();

const WHERE = "They work while the timeline has focus, never inside a text field.";

export const toggleHelp = async () => (await import("./shortcut-list.js")).toggleList(SHORTCUTS, WHERE);

/** @type {{ keys: string, label: string, actions: Record<string, () => unknown> }[]} */
const SHORTCUTS = [
  { keys: "Space", label: "play or pause", actions: { " ": togglePlay } },
  {
    keys: "J K L",
    label: "play backwards, pause, play (again: faster)",
    actions: { j: () => play(-1), k: pause, l: () => play(1) },
  },
  {
    keys: "← →",
    label: "one frame (Shift: one second)",
    actions: {
      ArrowLeft: () => seekBy(-frame()),
      ArrowRight: () => seekBy(frame()),
      "Shift+ArrowLeft": () => seekBy(-1),
      "Shift+ArrowRight": () => seekBy(1),
    },
  },
  {
    keys: "↑ ↓",
    label: "previous or next cut",
    actions: { ArrowUp: () => seekCut(-1), ArrowDown: () => seekCut(1) },
  },
  {
    keys: "Shift + ↑ ↓",
    label: "extend the selection",
    actions: { "Shift+ArrowUp": () => extendSelection(-1), "Shift+ArrowDown": () => extendSelection(1) },
  },
  {
    keys: "Home End",
    label: "go to the start or the end",
    actions: { Home: () => seek(0), End: () => seek(openProjectState().seconds) },
  },
  { keys: "S", label: "split the shot at the playhead", actions: { s: split } },
  {
    keys: "Alt + ← →",
    label: "move the selected shots",
    actions: { "Alt+ArrowLeft": () => moveSelected(-1), "Alt+ArrowRight": () => moveSelected(1) },
  },
  {
    keys: ", .",
    label: "trim the end by a frame (Shift: by ten)",
    actions: {
      ",": () => trimBy(-1),
      ".": () => trimBy(1),
      // Shift changes the character on some layouts and not on others
      ...Object.fromEntries(["<", "Shift+,", "Shift+<", "Shift+;"].map((key) => [key, () => trimBy(-10)])),
      ...Object.fromEntries([">", "Shift+.", "Shift+>", "Shift+:"].map((key) => [key, () => trimBy(10)])),
    },
  },
  {
    keys: "Alt + , .",
    label: "trim the beginning by a frame",
    actions: { "Alt+,": () => trimBy(-1, true), "Alt+.": () => trimBy(1, true) },
  },
  { keys: "A", label: "show or hide which shots the selected one drew on", actions: { a: toggleArcs } },
  { keys: "N", label: "add a shot", actions: { n: addShot } },
  { keys: "E", label: "edit the caption", actions: { e: () => editCaption(), Enter: () => editCaption() } },
  { keys: "D", label: "duplicate", actions: { d: editSelected("duplicate") } },
  {
    keys: "Delete",
    label: "delete",
    actions: { Delete: editSelected("delete"), Backspace: editSelected("delete") },
  },
  { keys: "Shift + L", label: "lock or unlock", actions: { "Shift+L": toggleFlag("lock") } },
  { keys: "M", label: "skip or bring back", actions: { m: toggleFlag("skip") } },
  {
    keys: "P X B",
    label:
      "pin, ban or boost the shot under the pointer (else the one before) as context of the selected one",
    actions: { p: () => steer("pin"), x: () => steer("ban"), b: () => steer("boost") },
  },
  {
    keys: "R",
    label: "render the selected shots",
    actions: { r: () => selectedShot() && renderShots({ shots: page.selected }) },
  },
  {
    keys: "Shift + R",
    label: "render outdated shots",
    actions: { "Shift+R": () => renderShots({ scope: "due" }) },
  },
  {
    keys: "[ ]",
    label: "previous or next take",
    actions: { "[": () => chooseTake(-1), "]": () => chooseTake(1) },
  },
  {
    keys: "Ctrl + A",
    label: "select every shot",
    actions: { "Ctrl+a": () => select(shots().map((shot) => shot.id)) },
  },
  {
    keys: "+ − Ctrl + 0",
    label: "zoom in, out, fit",
    actions: {
      "+": () => zoomBy(ZOOM_STEP),
      "=": () => zoomBy(ZOOM_STEP),
      "Shift++": () => zoomBy(ZOOM_STEP),
      "-": () => zoomBy(1 / ZOOM_STEP),
      "Ctrl+0": fitZoom,
    },
  },
  { keys: "Ctrl + Z", label: "undo", actions: { "Ctrl+z": undo } },
  { keys: "Ctrl + Shift + Z, Ctrl + Y", label: "redo", actions: { "Ctrl+Shift+Z": redo, "Ctrl+y": redo } },
  { keys: "?", label: "this list", actions: { "?": toggleHelp, "Shift+?": toggleHelp } },
];
const ACTIONS = Object.assign({}, ...SHORTCUTS.map(({ actions }) => actions));
const EVERYWHERE = new Set(["Ctrl+z", "Ctrl+Shift+Z", "Ctrl+y", "Ctrl+0"]);

/** @param {KeyboardEvent} event */
export function pressKey(event) {
  const { target } = event;
  if (!page.project || !(target instanceof HTMLElement)) return;
  if (target.isContentEditable || target.matches("input, textarea, select")) return;
  const name = keyName(event);
  const action = ACTIONS[name];
  const focused = document.activeElement;
  const here = focused === document.body || focused?.closest("[data-keys]");
  if (!action || !(here || EVERYWHERE.has(name))) return;
  event.preventDefault();
  action();
}
