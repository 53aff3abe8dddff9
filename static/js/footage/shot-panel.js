// The shot that is shown: where it begins and ends, its caption, and what can be done with it.

import { button, fill, h, part } from "../common/dom.js";
import { clock } from "../common/format.js";
import { length } from "./words.js";

const TYPED_FOR = 800; // ms without a key after which a caption is saved
const MOST = 2000; // characters of a caption

/** @typedef {import("./editing.js").Editing} Editing */

/** The panel of the shot. @param {Editing} editing */
export function shotPanel(editing) {
  const name = h("h2", {});
  const facts = h("p", { class: "quiet" });
  const field = h("textarea", {
    rows: 4,
    maxLength: MOST,
    placeholder: "What is seen in this shot",
    "aria-label": "Caption",
  });
  const begin = cutRow("Begins", "start", () => editing.selected);
  const end = cutRow("Ends", "end", () => editing.selected + 1);
  const split = button("Cut here", () => editing.split(), {
    icon: "split",
    title: "Cut before the frame that is shown (S)",
  });
  const merge = button("Merge with next", () => editing.removeCut(editing.selected + 1), {
    icon: "merge",
    title: "Remove the cut at the end of this shot",
  });
  const leave = button("Leave out", () => leaveOut(), {
    icon: "skip",
    title: "Do not train on this shot (M)",
  });
  const element = h(
    "section",
    { class: "footage-shot", "aria-label": "Shot" },
    h("div", { class: "shot-head" }, name, facts),
    h("label", { class: "field" }, "Caption", field),
    h("p", { class: "quiet" }, "Enter goes on to the next shot’s caption."),
    h("div", { class: "cut-rows" }, begin.element, end.element),
    h("div", { class: "row" }, split, merge, leave),
  );

  /**
   * Where a shot begins or ends, with buttons that move that cut.
   * @param {string} label
   * @param {"start" | "end"} side
   * @param {() => number} cut the shot that begins there
   */
  function cutRow(label, side, cut) {
    const time = h("output", { class: "time" });
    const move = (/** @type {number} */ by) => () =>
      editing.moveCut(cut(), editing.shots[editing.selected][side] + by, { before: side === "end" });
    const back = button(`${label} one frame earlier`, move(-1), { text: false, icon: "left" });
    const on = button(`${label} one frame later`, move(1), { text: false, icon: "right" });
    const remove = button(`Remove the cut where it ${label.toLowerCase()}`, () => editing.removeCut(cut()), {
      text: false,
      icon: "cross",
    });
    const buttons = [back, on, remove];
    const draw = () => {
      const shot = editing.shots[editing.selected];
      time.textContent = clock(shot[side] / editing.fps, editing.fps);
      for (const one of buttons) one.disabled = cut() === 0 || cut() >= editing.shots.length;
    };
    return { element: h("div", { class: "cut-row" }, h("span", {}, label), time, buttons), draw };
  }

  function leaveOut() {
    const index = editing.selected;
    const shot = editing.shots[index];
    if (shot) editing.edit({ op: "leave-out", shot: index, on: !shot.left_out });
  }

  let timer = 0;
  const known = { start: 0, caption: "" }; // of the shot whose caption is typed
  let touched = false; // whether something was typed that the studio did not answer yet
  const unsaved = () => editing.typed !== null && touched && field.value.trim() !== known.caption;

  /** Stays with the shot whose caption is typed, whatever was cut before it; an untouched caption is shown anew. */
  function followTyped() {
    if (editing.typed === null) return;
    editing.typed = editing.shotAt(known.start);
    const caption = editing.shots[editing.typed]?.caption ?? "";
    if (caption === field.value.trim()) touched = false;
    else if (!touched) field.value = caption;
    known.caption = caption;
  }

  /** Saves the caption that is typed. */
  function save() {
    clearTimeout(timer);
    if (!unsaved()) return;
    const [{ start }, caption] = [{ ...known }, field.value];
    editing.edit(() => ({ op: "caption", shot: editing.shotAt(start), caption }));
  }
  field.addEventListener("focus", () => {
    const shot = editing.shots[editing.selected];
    if (!shot) return;
    editing.typed = editing.selected;
    Object.assign(known, { start: shot.start, caption: shot.caption });
    touched = false;
  });
  field.addEventListener("input", () => {
    touched = true;
    clearTimeout(timer);
    timer = setTimeout(save, TYPED_FOR);
  });
  field.addEventListener("blur", () => {
    save();
    editing.typed = null;
    draw();
  });
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") field.blur();
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    const next = (editing.typed ?? 0) + 1;
    field.blur();
    if (next >= editing.shots.length) return;
    editing.seek(editing.shots[next].start);
    editCaption();
  });
  const leaving = () => {
    if (unsaved()) editing.sendLast({ op: "caption", shot: editing.typed, caption: field.value });
  };
  window.addEventListener("pagehide", leaving);

  function editCaption() {
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  let shown = "";
  function draw() {
    const index = editing.selected;
    const shot = editing.shots[index];
    if (!shot) return;
    const key = JSON.stringify([index, shot, editing.shots.length]);
    if (key !== shown) {
      shown = key;
      name.textContent = `Shot ${index + 1} of ${editing.shots.length}`;
      fill(
        facts,
        length((shot.end - shot.start) / editing.fps),
        shot.left_out && h("span", { class: "left-out-mark" }, " · left out"),
      );
      begin.draw();
      end.draw();
      merge.disabled = index + 1 >= editing.shots.length;
      part(leave, "span").textContent = shot.left_out ? "Take in again" : "Leave out";
      leave.setAttribute("aria-pressed", String(shot.left_out));
    }
    if (editing.typed === null && field.value !== shot.caption) field.value = shot.caption;
    split.disabled = editing.frame === shot.start;
  }
  editing.addEventListener("state", () => {
    followTyped();
    draw();
  });
  editing.addEventListener("frame", draw);
  const over = () => {
    save();
    window.removeEventListener("pagehide", leaving);
  };
  return { element, editCaption, leaveOut, end: over };
}
