// Plays the cut from any point. Two video elements take turns: one is seen, the other loads the next clip.

import { takeFile } from "../common/api.js";
import { button, fill, h, setIcon } from "../common/dom.js";
import { clock, duration } from "../common/format.js";
import { start } from "../common/project.js";
import {
  activeJob,
  openProjectState,
  page,
  seek,
  select,
  selectedShot,
  shotAt,
  shotById,
  shotIndex,
  shots,
  shownTake,
  subscribe,
} from "../common/state.js";

const FASTEST = 8;
const LONGEST_STEP = 0.25; // s, where the page was not drawn for a while

/** @typedef {{ key: string, shot: string }} Loaded */

const videos = [0, 1].map(() =>
  h("video", { muted: true, playsInline: true, preload: "auto", tabIndex: -1 }),
);
const loaded = /** @type {(Loaded | null)[]} */ ([null, null]); // by video
let seen = 0; // index of the video that is seen
let repeated = /** @type {string | null} */ (null); // the shot that is looped
let rate = 1; // below 0: backwards
let captionsShown = true;
let lastFrame = 0; // ms
let movedByPlayer = false; // the playhead moves because the film plays

const preview = h("img", { class: "live", alt: "Preview of the shot that renders", hidden: true });
const message = h("div", { class: "player-message" });
const caption = h("div", { class: "player-caption" });
const laneMark = h("span", { class: "lane-mark", title: "No final yet: the draft is shown" }, "Draft");
const stage = h("div", { class: "stage", onclick: togglePlay }, videos, message, preview, caption, laneMark);
const time = h("span", { class: "time" });
const playButton = button("Play", togglePlay, { text: false, icon: "play", title: "Play or pause (Space)" });
const captionButton = button("Show captions", toggleCaptions, {
  text: false,
  icon: "captions",
  "aria-pressed": "true",
});
const loopButton = button("Loop this shot", toggleLoop, {
  text: false,
  icon: "loop",
  "aria-pressed": "false",
});
const besideButton = button("Side by side", showBeside, {
  class: "beside",
  title: "Play the draft and the final of this shot side by side",
  hidden: true,
});
const player = h(
  "div",
  { class: "player" },
  stage,
  h(
    "div",
    { class: "player-bar" },
    playButton,
    time,
    h("span", { class: "grow" }),
    besideButton,
    captionButton,
    loopButton,
    button("Full screen", toggleFullScreen, { text: false, icon: "full" }),
  ),
);

/** @param {HTMLElement} element */
export function mount(element) {
  fill(element, player);
  subscribe("project", show);
  subscribe("playhead", () => {
    if (!movedByPlayer) show();
  });
  subscribe("queue selection", drawPreview);
  start();
}

export function togglePlay() {
  if (page.playing) pause();
  else play();
}

/** Plays; again in the same direction: twice as fast. */
export function play(direction = 1) {
  if (!page.project?.seconds) return;
  const faster = page.playing && Math.sign(rate) === direction;
  rate = direction * (faster ? Math.min(FASTEST, Math.abs(rate) * 2) : 1);
  if (rate > 0 && page.playhead >= page.project.seconds - 0.02) seek(0);
  page.playing = true;
  lastFrame = performance.now();
  setIcon(playButton, "pause");
  show();
  requestAnimationFrame(step);
}

export function pause() {
  page.playing = false;
  for (const video of videos) video.pause();
  setIcon(playButton, "play");
  show();
}

function toggleCaptions() {
  captionsShown = !captionsShown;
  captionButton.setAttribute("aria-pressed", String(captionsShown));
  drawCaption(shotAt(page.playhead));
}

function toggleLoop() {
  repeated = repeated ? null : (shotAt(page.playhead)?.id ?? null);
  loopButton.setAttribute("aria-pressed", String(repeated !== null));
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else player.requestFullscreen();
}

/** Moves the playhead: as the video that plays does, else by the clock. @param {number} now */
function step(now) {
  const shot = shotAt(page.playhead);
  if (!page.playing || !page.project) return;
  if (!shot) return pause();
  const passed = Math.min(LONGEST_STEP, (now - lastFrame) / 1000);
  lastFrame = now;
  const next = nextMoment(shot, passed, page.project.fps);
  movedByPlayer = true;
  seek(next);
  movedByPlayer = false;
  show();
  if (rate < 0 ? next <= 0 : next >= page.project.seconds) return pause();
  requestAnimationFrame(step);
}

/**
 * @param {Shot} shot
 * @param {number} passed seconds
 * @param {number} fps
 */
function nextMoment(shot, passed, fps) {
  const video = videos[seen];
  const plays = loaded[seen]?.shot === shot.id && !video.paused && rate === 1 && video.readyState >= 2;
  const next = plays
    ? Math.max(page.playhead, shot.begins + video.currentTime - shot.trim)
    : page.playhead + passed * rate;
  if (rate < 0) return next;
  const looped = shotById(repeated);
  if (looped && !looped.skip && next >= looped.begins + looped.seconds - 0.01) return looped.begins;
  const end = shot.begins + shot.seconds;
  return next >= end - 0.5 / fps ? end : next;
}

/** @param {Shot | null | undefined} shot */
function clipKey(shot) {
  const take = shownTake(shot);
  return shot && take ? `${page.project?.id} ${shot.id} ${take.id}` : null;
}

/**
 * Loads the clip of a shot into a video.
 * @param {number} index
 * @param {Shot | null | undefined} shot
 */
function load(index, shot) {
  const key = clipKey(shot);
  if ((loaded[index]?.key ?? null) === key) return;
  const video = videos[index];
  video.pause();
  const take = shownTake(shot);
  if (key && shot && take && page.project) {
    loaded[index] = { key, shot: shot.id };
    video.src = takeFile(page.project.id, take.id, "clip");
    video.currentTime = shot.trim;
  } else {
    loaded[index] = null;
    video.removeAttribute("src");
  }
}

/** Shows the moment under the playhead, and loads the next clip. */
function show() {
  if (!page.project) return;
  const { size, fps, seconds } = page.project;
  const ratio = size[0] / size[1];
  Object.assign(stage.style, {
    aspectRatio: `${size[0]} / ${size[1]}`,
    width: `min(100cqw - 24px, (100cqh - 56px) * ${ratio})`,
  });
  time.textContent = `${clock(page.playhead, fps)} / ${clock(seconds, fps)}`;
  const shot = shotAt(page.playhead);
  const key = clipKey(shot);
  if (key && loaded[1 - seen]?.key === key) seen = 1 - seen;
  load(seen, shot);
  const [video, other] = [videos[seen], videos[1 - seen]];
  video.classList.add("seen");
  other.classList.remove("seen");
  other.pause();
  if (shot) {
    showMoment(video, shot, fps);
    const end = shot.begins + shot.seconds - 1e-6;
    load(
      1 - seen,
      shots().find((next) => !next.skip && next.begins >= end),
    );
    if (page.playing && !page.selected.includes(shot.id)) select([shot.id]);
  }
  drawMessage(shot);
  drawPreview();
}

/** Marks a draft that is shown in place of a final, and offers both side by side. @param {Shot | null} shot */
function drawLane(shot) {
  laneMark.hidden =
    previewed() !== null || !shot || page.project?.lane !== "final" || shot.take !== null || !shot.other_take;
  besideButton.hidden = !page.project?.has_lanes;
  besideButton.disabled = !(shot?.take && shot.other_take);
}

async function showBeside() {
  const shot = shotAt(page.playhead);
  if (!shot?.take || !shot.other_take) return;
  pause();
  const { compareTakes } = await import("../takes/compare.js");
  const drafts = openProjectState().lane === "draft";
  compareTakes(shot, drafts ? [shot.take, shot.other_take] : [shot.other_take, shot.take], [
    "Draft",
    "Final",
  ]);
}

/**
 * @param {HTMLVideoElement} video
 * @param {Shot} shot
 * @param {number} fps
 */
function showMoment(video, shot, fps) {
  const passed = Math.max(0, Math.min(page.playhead - shot.begins, shot.seconds - 0.5 / fps));
  const wanted = shot.trim + passed;
  const away = Math.abs(video.currentTime - wanted);
  const take = shownTake(shot);
  if (!page.playing || rate !== 1 || !take) {
    video.pause();
    if (take && away > 0.25 / fps) video.currentTime = wanted;
  } else if (video.paused) {
    if (away > 0.06) video.currentTime = wanted;
    video.play().catch(() => {});
  }
}

/** @param {Shot | null} shot */
function drawMessage(shot) {
  const words = messageFor(shot);
  if (message.textContent !== words) message.textContent = words;
  message.hidden = !words;
  videos[seen].hidden = Boolean(words);
}

/** @param {Shot | null} shot */
function messageFor(shot) {
  if (!shots().length) return "Add a shot below, describe what happens in it, and render it.";
  if (!shot) return "Every shot is skipped.";
  if (shownTake(shot)) return "";
  const number = shotIndex(shot.id) + 1;
  return shot.caption ? `Shot ${number} is not rendered yet.` : `Shot ${number} has no caption yet.`;
}

/**
 * The caption of the take that is seen: it is the one that is exported; over a preview that of the shot which
 * renders.
 * @param {Shot | null} shot
 */
function drawCaption(shot) {
  const seen = previewed() ? selectedShot()?.caption : shownTake(shot)?.caption;
  const words = captionsShown ? (seen ?? "") : "";
  if (caption.dataset.words === words) return;
  caption.dataset.words = words;
  fill(caption, words && h("span", {}, words));
}

/** The job of the selected shot whose preview is seen instead of the film: while it renders and nothing plays. */
function previewed() {
  const shot = selectedShot();
  const job = shot && activeJob(shot.id);
  return job?.state === "running" && job.picture > 0 && !page.playing ? job : null;
}

function drawPreview() {
  const job = previewed();
  preview.hidden = job === null;
  drawCaption(shotAt(page.playhead));
  drawLane(shotAt(page.playhead));
  if (!job) return;
  const url = `/api/jobs/${job.id}/preview?n=${job.picture}`;
  if (preview.getAttribute("src") !== url) preview.src = url;
  preview.title = job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`;
}
