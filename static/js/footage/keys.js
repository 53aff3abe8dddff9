// The keyboard of the page of one video, and the list of its keys.

import { keyName } from "../common/key-name.js";
import { toggleList } from "../keyboard/shortcut-list.js";

/**
 * @param {import("./editing.js").Editing} editing
 * @param {{
 *   film: { toggle: () => void },
 *   shot: { editCaption: () => void, leaveOut: () => void },
 *   strip: { zoomBy: (factor: number) => void, fit: () => void },
 * }} parts
 */
export function footageKeys(editing, { film, shot, strip }) {
  const by = (/** @type {number} */ frames) => () => editing.seek(editing.frame + frames);
  const second = (/** @type {number} */ sign) => () =>
    editing.seek(editing.frame + sign * Math.round(editing.fps));
  const zoomIn = () => strip.zoomBy(1.5);

  /** @type {{ keys: string, label: string, actions: Record<string, () => unknown> }[]} */
  const shortcuts = [
    { keys: "Space", label: "play or pause", actions: { " ": film.toggle } },
    {
      keys: "← →",
      label: "one frame (Shift: one second); on a cut: move the cut (Shift: by ten)",
      actions: {
        ArrowLeft: by(-1),
        ArrowRight: by(1),
        "Shift+ArrowLeft": second(-1),
        "Shift+ArrowRight": second(1),
      },
    },
    {
      keys: "↑ ↓",
      label: "previous or next cut",
      actions: { ArrowUp: () => editing.seekCut(-1), ArrowDown: () => editing.seekCut(1) },
    },
    {
      keys: "Home End",
      label: "go to the start or the end",
      actions: { Home: () => editing.seek(0), End: () => editing.seek(editing.frames - 1) },
    },
    { keys: "Tab", label: "go to the cuts of the shot", actions: {} },
    {
      keys: "Alt + ← →",
      label: "move the cut where the shot begins by a frame",
      actions: {
        "Alt+ArrowLeft": () => moveBegin(-1),
        "Alt+ArrowRight": () => moveBegin(1),
      },
    },
    { keys: "S", label: "cut before the frame that is shown", actions: { s: () => editing.split() } },
    {
      keys: "Delete",
      label: "merge with the next shot; on a cut: remove it",
      actions: {
        Delete: () => editing.removeCut(editing.selected + 1),
        Backspace: () => editing.removeCut(editing.selected + 1),
      },
    },
    { keys: "M", label: "leave the shot out, or take it in again", actions: { m: shot.leaveOut } },
    {
      keys: "E",
      label: "type the caption; Enter goes on to the next shot",
      actions: { e: shot.editCaption, Enter: shot.editCaption },
    },
    {
      keys: "+ − Ctrl + 0",
      label: "zoom in, out, fit",
      actions: {
        "+": zoomIn,
        "=": zoomIn,
        "Shift++": zoomIn,
        "-": () => strip.zoomBy(1 / 1.5),
        "Ctrl+0": strip.fit,
      },
    },
    { keys: "Ctrl + Z", label: "undo", actions: { "Ctrl+z": () => editing.turn("undo") } },
    {
      keys: "Ctrl + Shift + Z, Ctrl + Y",
      label: "redo",
      actions: { "Ctrl+Shift+Z": () => editing.turn("redo"), "Ctrl+y": () => editing.turn("redo") },
    },
    { keys: "?", label: "this list", actions: { "?": toggleHelp, "Shift+?": toggleHelp } },
  ];
  const actions = Object.assign({}, ...shortcuts.map((one) => one.actions));
  const everywhere = new Set(["Ctrl+z", "Ctrl+Shift+Z", "Ctrl+y", "Ctrl+0"]);

  /** @param {number} frames */
  function moveBegin(frames) {
    const index = editing.selected;
    const begin = editing.shots[index];
    if (index > 0 && begin) editing.moveCut(index, begin.start + frames);
  }

  function toggleHelp() {
    toggleList(shortcuts, "They work while no text field has the focus.");
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    const { target } = event;
    if (!editing.state?.ready || !(target instanceof HTMLElement)) return;
    if (target.matches("input, textarea, select") || target.closest("dialog")) return;
    const key = keyName(event);
    const action = actions[key];
    const here = target === document.body || target.closest("[data-keys]");
    const pressed = target.closest("button, a, summary") && [" ", "Enter"].includes(event.key);
    if (!action || pressed || !(here || everywhere.has(key) || target.closest("button, a"))) return;
    event.preventDefault();
    action();
  }
  return { press, toggleHelp };
}
