// The clips on the timeline: status, marks, and pictures of the take.

import { takeFile } from "../common/api.js";
import { fill, h, icon, part } from "../common/dom.js";
import { activeJob, openProjectState, page, selectedShot, shownTake } from "../common/state.js";
import { steersShot } from "../common/steering.js";
import { editCaption } from "./captions.js";
import { pressClip } from "./drag.js";
import { ICONS, statusOf, statusWords } from "./status.js";

/** @typedef {{ shot: Shot, box: import("./layout.js").ShotBox, number: number }} Placed */

const PICTURES = 8; // in a filmstrip
const PICTURE_HEIGHT = 64; // px
const NARROW = 84; // px

/** @param {Placed} placed */
export function makeClip({ shot: { id } }) {
  const clip = h(
    "div",
    { class: "clip", id: `clip-${id}`, role: "option" },
    h("div", { class: "pictures" }),
    h("div", { class: "clip-number" }),
    h("div", { class: "clip-flags" }),
    h("div", { class: "clip-state" }),
    h("div", { class: "progress" }),
    h("div", { class: "handle left", title: "Drag to trim the beginning" }),
    h("div", { class: "handle right", title: "Drag to trim the end" }),
  );
  clip.addEventListener("pointerdown", (event) => pressClip(event, id));
  clip.addEventListener("dblclick", () => editCaption(id));
  clip.addEventListener("pointerenter", () => {
    page.hovered = id;
  });
  clip.addEventListener("pointerleave", () => {
    if (page.hovered === id) page.hovered = null;
  });
  return clip;
}

/**
 * @param {HTMLElement} clip
 * @param {Placed} placed
 */
export function updateClip(clip, { shot, box, number }) {
  const status = statusOf(shot);
  const words = statusWords(shot);
  const selected = page.selected.includes(shot.id);
  const by = selectedShot();
  const marks = [
    selected && "selected",
    shot.skip && "skip",
    box.width < NARROW && "narrow",
    by && steersShot(by, "pin", shot.id) && "pinned",
    by && steersShot(by, "ban", shot.id) && "banned",
    by && steersShot(by, "boost", shot.id) && "boosted",
  ];
  clip.className = ["clip", `is-${status}`, ...marks.filter(Boolean)].join(" ");
  Object.assign(clip.style, { left: `${box.left}px`, width: `${box.width}px` });
  clip.setAttribute("aria-selected", String(selected));
  const reasons = shot.reasons.length ? `: ${shot.reasons.join("; ")}` : "";
  const caption = shot.caption || "no caption yet";
  const locked = shot.lock ? ", locked" : "";
  const label = `Shot ${number}, ${caption}, ${shot.seconds} seconds, ${words}${reasons}${locked}`;
  clip.setAttribute("aria-label", label);
  const drifts = (page.drifts.get(shot.id) ?? []).map(
    ({ name, reason }) => `${name} looks different: ${reason}`,
  );
  clip.title = [`Shot ${number} · ${words}${reasons}`, ...drifts].join("\n");
  part(clip, ".clip-number").textContent = String(number);
  updateFlags(part(clip, ".clip-flags"), shot, drifts.length > 0);
  const state = part(clip, ".clip-state");
  if (state.dataset.words !== words) {
    state.dataset.words = words;
    fill(state, icon(ICONS[status]), h("span", {}, words));
  }
  const job = activeJob(shot.id);
  const done = job?.state === "running" && job.steps ? job.step / job.steps : 0;
  part(clip, ".progress").style.width = `${100 * done}%`;
  drawPictures(part(clip, ".pictures"), shot, box.width);
}

/**
 * @param {HTMLElement} element
 * @param {Shot} shot
 * @param {boolean} drifts
 */
function updateFlags(element, shot, drifts) {
  const flags = [
    drifts && "drift",
    shot.lock && "lock",
    shot.skip && "skip",
    shot.pins.length > 0 && "pin",
    shot.bans.length > 0 && "cross",
    Object.keys(shot.boosts).length > 0 && "up",
  ].filter((flag) => flag !== false);
  if (element.dataset.flags === flags.join()) return;
  element.dataset.flags = flags.join();
  fill(element, flags.map(icon));
}

/**
 * Draws as many pictures as fit, each of the moment of the take in its middle.
 * @param {HTMLElement} element
 * @param {Shot} shot
 * @param {number} width
 */
function drawPictures(element, shot, width) {
  const take = shownTake(shot);
  const project = openProjectState();
  const [pictureWidth, pictureHeight] = take?.size ?? project.size;
  const each = (PICTURE_HEIGHT * pictureWidth) / pictureHeight;
  const count = Math.max(1, Math.ceil(width / each));
  const key = take ? [project.id, take.id, count, shot.trim, shot.seconds].join() : "";
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  if (!take) return fill(element);
  const pictures = Array.from({ length: count }, (_, index) => {
    const moment = shot.trim + ((index + 0.5) / count) * shot.seconds;
    return h("div", {
      class: "picture",
      style: { width: `${each}px`, ...pictureAt(project.id, take, moment, shot) },
    });
  });
  fill(element, pictures);
}

/**
 * The picture of the take's filmstrip that is nearest to a moment, of those within the shot's in and out points;
 * where there is none, the take's frame at that moment.
 * @param {string} project
 * @param {Take} take
 * @param {number} moment
 * @param {Shot} shot
 */
function pictureAt(project, take, moment, { trim, seconds }) {
  const momentOf = (/** @type {number} */ index) => ((index + 0.5) / PICTURES) * take.seconds;
  const inside = [...Array(PICTURES).keys()].filter(
    (index) => momentOf(index) >= trim && momentOf(index) < trim + seconds,
  );
  if (!inside.length) {
    const frame = Math.min(take.frames - 1, Math.floor(moment * take.fps));
    return {
      backgroundImage: `url("${takeFile(project, take.id, `frames/${frame}`)}")`,
      backgroundSize: "100% 100%",
    };
  }
  const distance = (/** @type {number} */ index) => Math.abs(momentOf(index) - moment);
  const nearest = inside.reduce((best, index) => (distance(index) < distance(best) ? index : best));
  return filmstripPicture(project, take.id, nearest);
}

/**
 * The style that shows one picture of a take's filmstrip.
 * @param {string} project
 * @param {string} take
 * @param {number} index
 */
export const filmstripPicture = (project, take, index) => ({
  backgroundImage: `url("${takeFile(project, take, "thumbnail")}")`,
  backgroundSize: `${PICTURES * 100}% 100%`,
  backgroundPositionX: `${(100 * index) / (PICTURES - 1)}%`,
});

/** The picture of a filmstrip at a share of the take. @param {number} share */
export const filmstripIndex = (share) => Math.max(0, Math.min(PICTURES - 1, Math.floor(share * PICTURES)));
