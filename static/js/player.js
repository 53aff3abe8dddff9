// Plays the cut from any point: two video elements take turns, one shows while the other gets the next clip ready.

import { fileOf } from "./api.js";
import { button, clock, draw, duration, h, underlined } from "./dom.js";
import { current, jobOf, on, seek, select, shotAt, shots, start, view } from "./store.js";

const RATES = [1, 2, 4, 8];

let stage, videos, caption, time, playButton, live, message;
let shown = 0; // which of the two videos is seen
let loaded = [null, null]; // shot and take each holds
let loop = null; // id of the shot that is repeated
let rate = 1; // below 0: backwards
let captionsOn = true;
let clockAt = 0;
let following = false; // the playhead is being moved by ourselves

export function mount(element) {
  videos = [0, 1].map(() => h("video", { muted: true, playsInline: true, preload: "auto", tabIndex: -1 }));
  live = h("img", { class: "live", alt: "The picture as it forms", hidden: true });
  message = h("div", { class: "player-message" });
  caption = h("div", { class: "player-caption" });
  stage = h("div", { class: "stage", onclick: () => toggle() }, ...videos, message, live, caption);
  playButton = button("Play", toggle, { text: false, shape: "play", title: "Play or pause (Space)" });
  time = h("span", { class: "time" });
  const captionButton = button("Captions", () => {
    captionsOn = !captionsOn;
    captionButton.setAttribute("aria-pressed", String(captionsOn));
    drawCaption();
  }, { text: false, shape: "captions", "aria-pressed": "true" });
  const loopButton = button("Loop this shot", () => {
    loop = loop ? null : (shotAt(view.playhead)?.id ?? null);
    loopButton.setAttribute("aria-pressed", String(Boolean(loop)));
  }, { text: false, shape: "loop", "aria-pressed": "false" });
  const bar = h("div", { class: "player-bar" }, playButton, time, h("span", { class: "grow" }), captionButton, loopButton, button("Full screen", full, { text: false, shape: "full" }));
  const frame = h("div", { class: "player" }, stage, bar);
  element.replaceChildren(frame);
  on("project", () => show());
  on("playhead", () => following || show());
  on("queue", drawLive);
  on("selection", drawLive);
  start();
}

export function toggle() {
  if (view.playing) pause();
  else play(1);
}

export function play(direction = 1) {
  if (!view.project?.seconds) return;
  const speed = view.playing && Math.sign(rate) === direction ? Math.min(RATES.at(-1), Math.abs(rate) * 2) : 1;
  rate = direction * speed;
  if (rate > 0 && view.playhead >= view.project.seconds - 0.02) seek(0);
  view.playing = true;
  clockAt = performance.now();
  draw(playButton, "pause");
  show();
  requestAnimationFrame(tick);
}

export function pause() {
  view.playing = false;
  for (const video of videos) video.pause();
  draw(playButton, "play");
  show();
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.parentElement.requestFullscreen();
}

// Where the playhead goes next: by the video that plays, else by the clock.
function tick(now) {
  if (!view.playing) return;
  const past = Math.min(0.25, (now - clockAt) / 1000);
  clockAt = now;
  const shot = shotAt(view.playhead);
  if (!shot) return pause();
  const video = videos[shown];
  let next = view.playhead + past * rate;
  const ours = loaded[shown]?.shot === shot.id && !video.paused && rate === 1 && video.readyState >= 2;
  if (ours) next = Math.max(view.playhead, shot.begins + video.currentTime - shot.trim);
  const end = shot.begins + shot.seconds;
  if (loop && rate > 0 && next >= shotEnd(loop)) next = shots().find((s) => s.id === loop).begins;
  else if (rate > 0 && next >= end - 0.5 / view.project.fps) next = end;
  following = true;
  seek(next);
  following = false;
  show();
  if (next <= 0 && rate < 0) return pause();
  if (next >= view.project.seconds && rate > 0) return pause();
  requestAnimationFrame(tick);
}

function shotEnd(id) {
  const shot = shots().find((s) => s.id === id);
  return shot && !shot.skip ? shot.begins + shot.seconds - 0.01 : Infinity;
}

function put(slot, shot) {
  const key = shot?.take ? `${shot.id} ${shot.take}` : null;
  if (loaded[slot]?.key === key) return;
  loaded[slot] = key ? { key, shot: shot.id } : null;
  const video = videos[slot];
  video.pause();
  if (key) {
    video.src = fileOf(view.project.id, shot.take, "clip");
    video.currentTime = shot.trim;
  } else video.removeAttribute("src");
}

// Shows the moment under the playhead and gets the next clip ready.
function show() {
  if (!stage || !view.project) return;
  const [w, height] = view.project.size;
  Object.assign(stage.style, { aspectRatio: `${w} / ${height}`, width: `min(100cqw - 24px, (100cqh - 56px) * ${w / height})` });
  time.textContent = `${clock(view.playhead, view.project.fps)} / ${clock(view.project.seconds, view.project.fps)}`;
  const shot = shotAt(view.playhead);
  const key = shot?.take ? `${shot.id} ${shot.take}` : null;
  if (key && loaded[1 - shown]?.key === key) shown = 1 - shown;
  put(shown, shot);
  videos[shown].classList.add("seen");
  videos[1 - shown].classList.remove("seen");
  videos[1 - shown].pause();
  if (shot) {
    const video = videos[shown];
    const at = shot.trim + Math.max(0, Math.min(view.playhead - shot.begins, shot.seconds - 0.5 / view.project.fps));
    const runs = view.playing && rate === 1 && key;
    if (!runs) {
      video.pause();
      if (key && Math.abs(video.currentTime - at) > 0.25 / view.project.fps) video.currentTime = at;
    } else if (video.paused) {
      if (Math.abs(video.currentTime - at) > 0.06) video.currentTime = at;
      video.play().catch(() => {});
    }
    put(1 - shown, shots().find((s) => !s.skip && s.begins >= shot.begins + shot.seconds - 1e-6));
    if (view.playing && !view.selected.includes(shot.id)) select([shot.id]);
  }
  drawMessage(shot);
  drawCaption();
  drawLive();
}

function drawMessage(shot) {
  const number = shots().findIndex((s) => s.id === shot?.id) + 1;
  const words = !shots().length
    ? "Add a shot below, write what happens in it, and render it."
    : !shot
      ? "Every shot is skipped."
      : shot.take
        ? ""
        : shot.caption
          ? `Shot ${number} is not rendered yet.`
          : `Shot ${number} has no caption yet.`;
  if (message.textContent !== words) message.textContent = words;
  message.hidden = !words;
  videos[shown].hidden = Boolean(words);
}

function drawCaption() {
  const shot = shotAt(view.playhead);
  const take = shot?.takes.find((other) => other.id === shot.take);
  const words = captionsOn && take ? take.caption : ""; // what is seen, and what is exported
  if (caption.dataset.words === words) return;
  caption.dataset.words = words;
  caption.replaceChildren(...(words ? [h("span", {}, ...underlined(words, []))] : []));
}

// While the selected shot renders and nothing plays, the picture as it forms is seen instead.
function drawLive() {
  if (!live || !view.project) return;
  const job = current() && jobOf(current().id);
  const showing = Boolean(job && job.state === "running" && job.picture && !view.playing);
  live.hidden = !showing;
  if (showing) {
    const url = `/api/jobs/${job.id}/preview?n=${job.picture}`;
    if (live.getAttribute("src") !== url) live.src = url;
    live.title = job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`;
  }
}
