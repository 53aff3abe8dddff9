// The filmstrip: shots to scale with their first, middle and last frames, and the cuts between them, which are
// dragged or moved by the keyboard.

import { button, h, updateList } from "../common/dom.js";
import { clock } from "../common/format.js";
import { length } from "./words.js";

const ZOOM_STEP = 1.5;
const USUAL = 150; // px of a shot of the usual length
const LONGEST = 8_000_000; // px that a browser lays out
const BEYOND = 600; // px on both sides of what is seen that are drawn too
const MOST_SEEN = 300; // shots, about, on the least zoom

/** @typedef {import("./editing.js").Editing} Editing */

/** The filmstrip. @param {Editing} editing */
export function filmstrip(editing) {
  let zoom = 0; // px a second; 0 until there are shots
  const shots = h("div", { class: "strip-shots" });
  const cuts = h("div", { class: "strip-cuts" });
  const playhead = h("div", { class: "strip-playhead" });
  const track = h("div", { class: "strip-track" }, shots, cuts, playhead);
  const strip = h(
    "div",
    { class: "strip", tabIndex: 0, role: "group", "aria-label": "Filmstrip", "data-keys": "" },
    track,
  );
  const bar = h(
    "div",
    { class: "strip-bar" },
    h("span", { class: "grow" }),
    button("Zoom out", () => zoomBy(1 / ZOOM_STEP), { text: false, icon: "minus", title: "Zoom out (−)" }),
    button("Zoom in", () => zoomBy(ZOOM_STEP), { text: false, icon: "add", title: "Zoom in (+)" }),
    button("Fit", () => fit(), { title: "Show the whole video (Ctrl+0)" }),
  );

  const seconds = () => editing.frames / editing.fps;
  const position = (/** @type {number} */ frame) => (frame / editing.fps) * zoom;
  const frameAt = (/** @type {number} */ x) =>
    ((x - track.getBoundingClientRect().left) / zoom) * editing.fps;

  /** The zoom on which the whole video is seen, or a part of it where there are very many shots. */
  const leastZoom = () =>
    ((strip.clientWidth - 16) / Math.max(1e-3, seconds())) * Math.max(1, editing.shots.length / MOST_SEEN);

  /** @param {number} factor */
  function zoomBy(factor) {
    const most = Math.min(editing.fps * 40, LONGEST / Math.max(1, seconds()));
    setZoom(Math.max(leastZoom(), Math.min(most, zoom * factor)));
  }

  const fit = () => setZoom(leastZoom());

  /** @param {number} pixels a second */
  function setZoom(pixels) {
    zoom = pixels;
    track.style.width = `${position(editing.frames)}px`;
    strip.scrollLeft = position(editing.frame) - strip.clientWidth / 2;
    draw();
  }

  /** A zoom with which half of the shots are at least of the usual width, and the video fills the strip. */
  function usualZoom() {
    const sorted = editing.shots.map(({ start, end }) => end - start).sort((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)] / editing.fps;
    const whole = (strip.clientWidth - 16) / Math.max(1e-3, seconds());
    return Math.min(Math.max(whole, USUAL / Math.max(0.2, middle)), LONGEST / Math.max(1, seconds()));
  }

  /** Loads the picture of a shot's frames; the last one stays until it is there. @param {HTMLElement} element */
  function showPicture(element) {
    const wanted = element.dataset.wanted;
    if (!wanted || element.dataset.shown === wanted || element.hasAttribute("data-loading")) return;
    element.toggleAttribute("data-loading", true);
    const image = new Image();
    const ended = () => {
      element.removeAttribute("data-loading");
      element.dataset.shown = wanted;
      if (element.dataset.wanted !== wanted) showPicture(element); // while a cut is moved
    };
    image.addEventListener("load", () => {
      element.style.setProperty("--picture", `url("${wanted}")`);
      ended();
    });
    image.addEventListener("error", ended);
    image.src = wanted;
  }

  function makeShot() {
    const frames = ["first", "middle", "last"].map((name) => h("span", { class: `strip-frame is-${name}` }));
    return h(
      "div",
      { class: "strip-shot" },
      h("div", { class: "strip-frames" }, frames),
      h("div", { class: "strip-words" }, h("strong", {}), h("span", { class: "time" })),
      h("div", { class: "strip-caption" }),
    );
  }

  /**
   * @param {HTMLElement} element
   * @param {{ shot: FootageShot, index: number }} item
   */
  function updateShot(element, { shot, index }) {
    const key = JSON.stringify([shot, zoom, editing.state?.version]);
    element.classList.toggle("is-selected", index === editing.selected);
    if (element.dataset.drawn === key) return;
    element.dataset.drawn = key;
    const width = position(shot.end - shot.start);
    Object.assign(element.style, { left: `${position(shot.start)}px`, width: `${width}px` });
    element.classList.toggle("is-left-out", shot.left_out);
    const [, words, caption] = element.children;
    words.children[0].textContent = String(index + 1);
    words.children[1].textContent = clock(shot.start / editing.fps, editing.fps);
    caption.textContent = shot.left_out ? "left out" : shot.caption || "no caption";
    caption.classList.toggle("is-missing", !shot.caption && !shot.left_out);
    element.title = [
      `Shot ${index + 1}, ${length((shot.end - shot.start) / editing.fps)}`,
      shot.left_out && "left out",
      shot.caption,
    ]
      .filter(Boolean)
      .join(" · ");
    const middle = Math.floor((shot.start + shot.end - 1) / 2);
    element.dataset.wanted = editing.stills([shot.start, middle, shot.end - 1]);
    showPicture(element);
  }

  function makeCut() {
    const element = h("div", { class: "strip-cut", role: "slider", "aria-orientation": "horizontal" });
    element.addEventListener("pointerdown", startDrag);
    element.addEventListener("focus", () => {
      const shot = editing.shots[cutOf(element)];
      if (shot && editing.frame !== shot.start) editing.seek(shot.start);
    });
    element.addEventListener("keydown", pressCutKey);
    return element;
  }

  /** The shot that begins at a cut. @param {HTMLElement} element */
  const cutOf = (element) => Number(element.dataset.key);

  /**
   * @param {HTMLElement} element
   * @param {{ shot: FootageShot, index: number }} item
   */
  function updateCut(element, { shot, index }) {
    const near = index === editing.selected || index === editing.selected + 1;
    element.tabIndex = near ? 0 : -1;
    element.style.left = `${position(shot.start)}px`;
    const time = clock(shot.start / editing.fps, editing.fps);
    element.setAttribute("aria-label", `Cut before shot ${index + 1}`);
    element.setAttribute("aria-valuenow", String(shot.start));
    element.setAttribute("aria-valuetext", time);
    element.setAttribute("aria-valuemin", String(editing.shots[index - 1].start + 1));
    element.setAttribute("aria-valuemax", String(shot.end - 1));
    element.title = `${time}. Drag, or ← → by a frame; Delete removes it`;
  }

  /** @param {PointerEvent} event */
  function startDrag(event) {
    const element = /** @type {HTMLElement} */ (event.currentTarget);
    if (event.button !== 0) return;
    event.stopPropagation();
    event.preventDefault();
    const cut = cutOf(element);
    const shot = editing.shots[cut];
    if (!shot) return;
    const offset = frameAt(event.clientX) - shot.start;
    let moved = false;
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    element.classList.add("is-dragged");
    const drag = (/** @type {PointerEvent} */ { clientX }) => {
      moved = true;
      editing.moveCut(cut, frameAt(clientX) - offset, { send: false });
    };
    const drop = (/** @type {Event} */ { type }) => {
      element.removeEventListener("pointermove", drag);
      for (const end of ["pointerup", "pointercancel"]) element.removeEventListener(end, drop);
      element.classList.remove("is-dragged");
      if (!moved) return;
      if (type === "pointerup") editing.moveCut(cut, editing.shots[cut].start);
      else editing.dropMove();
    };
    element.addEventListener("pointermove", drag);
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, drop);
  }

  /** @param {KeyboardEvent} event */
  function pressCutKey(event) {
    const cut = cutOf(/** @type {HTMLElement} */ (event.currentTarget));
    const shot = editing.shots[cut];
    if (!shot || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 10 : 1;
    if (event.key === "ArrowLeft") editing.moveCut(cut, shot.start - step);
    else if (event.key === "ArrowRight") editing.moveCut(cut, shot.start + step);
    else if (event.key === "Delete" || event.key === "Backspace") editing.removeCut(cut);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Delete" || event.key === "Backspace") strip.focus();
  }

  strip.addEventListener("click", ({ clientX, target }) => {
    if (!(target instanceof HTMLElement) || target.closest(".strip-cut") || !zoom) return;
    editing.seek(Math.floor(frameAt(clientX)));
  });

  function drawPlayhead() {
    playhead.style.left = `${position(editing.frame + 0.5)}px`;
  }

  function draw() {
    if (!editing.shots.length || !strip.clientWidth) return;
    zoom ||= usualZoom();
    track.style.width = `${position(editing.frames)}px`;
    track.style.setProperty(
      "--shape",
      String((editing.state?.size[0] ?? 16) / (editing.state?.size[1] || 9)),
    );
    const items = seenShots();
    updateList(shots, items, ({ index }) => index, makeShot, updateShot);
    const kept = [...cuts.children].map((cut) => cutOf(/** @type {HTMLElement} */ (cut)));
    const held = kept.filter((index) => cuts.querySelector(`[data-key="${index}"]:is(:focus, .is-dragged)`));
    const cutItems = [...new Set([...held, ...items.map(({ index }) => index)])]
      .filter((index) => index > 0 && index < editing.shots.length)
      .sort((a, b) => a - b)
      .map((index) => ({ shot: editing.shots[index], index }));
    updateList(cuts, cutItems, ({ index }) => index, makeCut, updateCut);
    drawPlayhead();
  }

  /** The shots that are seen, or nearly: others are not drawn. */
  function seenShots() {
    const [from, to] = [-BEYOND, strip.clientWidth + BEYOND].map(
      (x) => ((strip.scrollLeft + x) / zoom) * editing.fps,
    );
    const first = editing.shots.findIndex((shot) => shot.end > from);
    const seen = [];
    for (let index = Math.max(0, first); index < editing.shots.length; index += 1) {
      const shot = editing.shots[index];
      if (shot.start > to && index > first) break;
      seen.push({ shot, index });
    }
    return seen;
  }

  let drawing = 0;
  strip.addEventListener("scroll", () => {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(draw);
  });

  let selected = -1;
  editing.addEventListener("state", draw);
  editing.addEventListener("frame", () => {
    drawPlayhead();
    if (selected !== editing.selected) {
      selected = editing.selected;
      draw();
    }
    const at = position(editing.frame) - strip.scrollLeft;
    const dragged = cuts.querySelector(".is-dragged");
    if (!dragged && (at < 24 || at > strip.clientWidth - 24)) {
      strip.scrollLeft += at - (editing.playing ? 48 : strip.clientWidth / 2);
    }
  });
  const focus = () => strip.focus({ preventScroll: true });
  return { element: h("section", { class: "strip-place" }, bar, strip), bar, zoomBy, fit, focus };
}
