// The preview film: played from the frame that is shown, or on that frame.

import { button, h, setIcon } from "../common/dom.js";
import { clock } from "../common/format.js";

/** @typedef {import("./editing.js").Editing} Editing */

/** The film with its buttons. @param {Editing} editing */
export function filmPlayer(editing) {
  const video = h("video", { muted: true, playsInline: true, preload: "auto", tabIndex: -1 });
  const time = h("output", { class: "time", "aria-label": "Position" });
  let source = "";
  let loops = false;

  const toggle = () => (editing.playing ? pause() : play());
  const playButton = button("Play", toggle, { text: false, icon: "play", title: "Play or pause (Space)" });
  const loopButton = button("Loop this shot", toggleLoop, {
    text: false,
    icon: "loop",
    "aria-pressed": "false",
  });
  const by = (/** @type {number} */ frames) => () => editing.seek(editing.frame + frames);
  const bar = h(
    "div",
    { class: "film-bar" },
    button("Previous cut", () => editing.seekCut(-1), { text: false, icon: "up", class: "turned-left" }),
    button("One frame back", by(-1), { text: false, icon: "left", title: "One frame back (←)" }),
    playButton,
    button("One frame on", by(1), { text: false, icon: "right", title: "One frame on (→)" }),
    button("Next cut", () => editing.seekCut(1), { text: false, icon: "up", class: "turned-right" }),
    time,
    h("span", { class: "grow" }),
    loopButton,
  );
  const element = h("section", { class: "film", "aria-label": "Film" }, video, bar);
  video.addEventListener("click", toggle);

  function play() {
    if (!editing.frames) return;
    const shot = editing.shots[editing.selected];
    if (loops && shot && editing.frame >= shot.end - 1) editing.seek(shot.start);
    else if (editing.frame >= editing.frames - 1) editing.seek(0);
    editing.playing = true;
    setIcon(playButton, "pause");
    video.play().catch(() => pause());
    requestAnimationFrame(step);
  }

  function pause() {
    if (!editing.playing) return;
    editing.playing = false;
    setIcon(playButton, "play");
    video.pause();
    editing.seek(editing.frame);
  }

  function toggleLoop() {
    loops = !loops;
    loopButton.setAttribute("aria-pressed", String(loops));
  }

  let looped = 0; // the shot that plays
  function step() {
    if (!editing.playing) return;
    const frame = Math.floor(video.currentTime * editing.fps + 1e-3);
    const shot = editing.shots[looped];
    if (loops && shot && frame >= shot.end) editing.seek(shot.start);
    else if (!video.seeking) editing.seek(frame, true);
    looped = editing.selected;
    if (video.ended || editing.frame >= editing.frames - 1) return pause();
    requestAnimationFrame(step);
  }

  /** Shows the frame in the middle of its time; while the video seeks, the last one asked for waits. */
  function showFrame() {
    const wanted = (editing.frame + 0.5) / editing.fps;
    if (video.seeking || !video.src || Math.abs(video.currentTime - wanted) < 1e-4) return;
    video.currentTime = wanted;
  }
  video.addEventListener("seeked", () => editing.playing || showFrame());
  video.addEventListener("loadedmetadata", showFrame);

  editing.addEventListener("frame", (event) => {
    time.textContent = clock(editing.frame / editing.fps, editing.fps);
    looped = editing.selected;
    if (!(/** @type {CustomEvent} */ (event).detail.byFilm)) showFrame();
  });
  editing.addEventListener("state", () => {
    if (!editing.state?.ready || source === editing.film) return;
    source = editing.film;
    video.src = source;
    const [width, height] = editing.state.size;
    video.style.aspectRatio = `${width} / ${height}`;
    time.textContent = clock(editing.frame / editing.fps, editing.fps);
  });
  return { element, toggle, end: () => video.removeAttribute("src") };
}
