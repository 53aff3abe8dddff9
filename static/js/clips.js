// The clips of the timeline: how each stands, told by icon, word and colour, and pictures of its take.

import { fileOf } from "./api.js";
import { h, icon } from "./dom.js";
import { press } from "./gestures.js";
import { steers } from "./steering.js";
import { current, jobOf, view } from "./store.js";
import { editCaption } from "./writing.js";

const PICTURES = 8; // in a filmstrip

const WORDS = {
  unwritten: "no caption yet",
  missing: "not rendered yet",
  fresh: "up to date",
  outdated: "outdated",
  due: "needs re-rendering",
  locked: "locked",
  lockedOld: "locked, outdated",
  skipped: "skipped",
  queued: "waiting",
  running: "rendering",
};
const ICONS = { unwritten: "dots", missing: "dots", fresh: "check", outdated: "clock", due: "warn", locked: "lock", skipped: "skip", queued: "clock", running: "play" };

export function statusOf(shot) {
  const job = jobOf(shot.id);
  if (job) return job.state;
  if (shot.skip) return "skipped";
  if (shot.state === "unwritten") return "unwritten";
  if (shot.state === "missing") return "missing";
  if (shot.lock) return "locked";
  if (shot.due) return "due";
  return shot.state;
}

export function statusWords(shot) {
  const state = statusOf(shot);
  const job = jobOf(shot.id);
  if (state === "running" && job.steps) return `rendering ${Math.round((100 * job.step) / job.steps)}%`;
  return WORDS[state === "locked" && shot.state === "outdated" ? "lockedOld" : state];
}

export function makeClip({ shot }) {
  const id = shot.id;
  const clip = h(
    "div",
    { class: "clip", id: `clip-${id}`, role: "option" },
    h("div", { class: "pictures" }),
    h("div", { class: "clip-number" }),
    h("div", { class: "clip-flags" }),
    h("div", { class: "clip-state" }),
    h("div", { class: "progress" }),
    h("div", { class: "handle left", title: "Trim the beginning" }),
    h("div", { class: "handle right", title: "Trim the end" }),
  );
  clip.addEventListener("pointerdown", (event) => press(event, id));
  clip.addEventListener("dblclick", () => editCaption(id));
  clip.addEventListener("pointerenter", () => (view.hovered = id));
  clip.addEventListener("pointerleave", () => view.hovered === id && (view.hovered = null));
  return clip;
}

export function updateClip(clip, { shot, place, number }) {
  const state = statusOf(shot);
  const selected = view.selected.includes(shot.id);
  const words = statusWords(shot);
  Object.assign(clip.style, { left: `${place.left}px`, width: `${place.width}px` });
  const marks = { selected, skip: shot.skip, narrow: place.width < 84, ...steeredBy(current(), shot.id) };
  clip.className = `clip is-${state} ${Object.keys(marks).filter((mark) => marks[mark]).join(" ")}`;
  clip.setAttribute("aria-selected", String(selected));
  const reasons = shot.reasons.length ? `: ${shot.reasons.join("; ")}` : "";
  clip.setAttribute("aria-label", `Shot ${number}, ${shot.caption || "no caption yet"}, ${shot.seconds} seconds, ${words}${reasons}${shot.lock ? ", locked" : ""}`);
  const drifted = (view.drifted.get(shot.id) ?? []).map((item) => `${item.name} looks different: ${item.reason}`);
  clip.title = [`Shot ${number} · ${words}${reasons}`, ...drifted].join("\n");
  clip.querySelector(".clip-number").textContent = number;
  const flags = [drifted.length && "drift", shot.lock && "lock", shot.skip && "skip", shot.pins.length && "pin", shot.bans.length && "cross", Object.keys(shot.boosts).length && "up"].filter(Boolean).join(" ");
  const box = clip.querySelector(".clip-flags");
  if (box.dataset.flags !== flags) {
    box.dataset.flags = flags;
    box.replaceChildren(...flags.split(" ").filter(Boolean).map(icon));
  }
  const label = clip.querySelector(".clip-state");
  if (label.dataset.words !== words) {
    label.dataset.words = words;
    label.replaceChildren(icon(ICONS[state]), h("span", {}, words));
  }
  const job = jobOf(shot.id);
  clip.querySelector(".progress").style.width = job?.state === "running" && job.steps ? `${(100 * job.step) / job.steps}%` : "0";
  drawPictures(clip.querySelector(".pictures"), shot, place.width);
}

const steeredBy = (by, other) => (by ? { pinned: steers(by, "pin", other), banned: steers(by, "ban", other), boosted: steers(by, "boost", other) } : {});

// As many pictures as fit, each of the moment of the take that its middle stands for.
function drawPictures(box, shot, width) {
  const take = shot.takes.find((candidate) => candidate.id === shot.take);
  const [w, hgt] = take?.size ?? view.project.size;
  const each = (64 * w) / hgt;
  const count = Math.max(1, Math.ceil(width / each));
  const key = take ? `${take.id} ${count} ${shot.trim} ${shot.seconds}` : "";
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(
    ...(take ? [...Array(count).keys()] : []).map((index) => {
      const moment = shot.trim + ((index + 0.5) / count) * shot.seconds;
      return h("div", { class: "picture", style: { width: `${each}px`, ...pictureAt(take, moment, shot) } });
    }),
  );
}

// The picture of the take's filmstrip that is nearest to a moment, of those that lie within the shot's in and
// out points; where none does, the take's frame at that moment.
function pictureAt(take, moment, { trim, seconds }) {
  const inside = [...Array(PICTURES).keys()].filter((nth) => {
    const at = ((nth + 0.5) / PICTURES) * take.seconds;
    return at >= trim && at < trim + seconds;
  });
  if (!inside.length) {
    const frame = Math.min(take.frames - 1, Math.floor(moment * take.fps));
    return { backgroundImage: `url("${fileOf(view.project.id, take.id, `frames/${frame}`)}")`, backgroundSize: "100% 100%" };
  }
  const distance = (nth) => Math.abs(((nth + 0.5) / PICTURES) * take.seconds - moment);
  const nearest = inside.reduce((best, nth) => (distance(nth) < distance(best) ? nth : best));
  return {
    backgroundImage: `url("${fileOf(view.project.id, take.id, "thumbnail")}")`,
    backgroundSize: `${PICTURES * 100}% 100%`,
    backgroundPositionX: `${(100 * nearest) / (PICTURES - 1)}%`,
  };
}
