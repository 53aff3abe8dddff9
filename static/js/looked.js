// What a part of a shot looked at: a list of past chunks with pictures, strongest first.

import { fileOf } from "./api.js";
import { button, h, percent } from "./dom.js";
import { current, edit, seek, shotOf, tell, view } from "./store.js";

const PICTURES = 8; // in a take's filmstrip

export function lookedList(looked, hovered = () => {}) {
  const most = Math.max(...looked.drawn.map((item) => item.share), 1e-9);
  return h(
    "div",
    { class: "looked" },
    h("h4", {}, `${looked.part} looked at`, h("span", { class: "quiet" }, ` · ${percent(looked.own)} stayed in the shot`)),
    looked.drawn.length ? null : h("p", { class: "quiet" }, "Nothing earlier."),
    looked.drawn.map((item) => row(item, most, hovered)),
  );
}

function row(item, most, hovered) {
  const shot = item.shot && shotOf(item.shot);
  const go = () => shot && seek(shot.begins + Math.max(0, Math.min(shot.seconds - 0.05, (item.at ?? 0) - shot.trim)));
  return h(
    "div",
    { class: "looked-row", onpointerenter: () => hovered(item), onpointerleave: () => hovered(null) },
    h("button", { type: "button", class: "looked-at", onclick: go, disabled: !shot, title: shot ? "Show this moment in the film" : "The film no longer shows this take" }, picture(item), h("span", { class: "looked-name" }, item.label), h("span", { class: "looked-bar" }, h("span", { style: { width: `${(100 * item.share) / most}%` } })), h("span", { class: "share" }, percent(item.share))),
    shot ? steering(shot, item) : null,
  );
}

// The moment of the take that was looked at, and where in it.
function picture(item) {
  if (!item.take || item.at === null || !item.length) return h("span", { class: "looked-picture" });
  const frame = Math.max(0, Math.min(PICTURES - 1, Math.floor((item.at / item.length) * PICTURES)));
  const [left, top, right, bottom] = item.box ?? [0, 0, 0, 0];
  const mark = item.box && right - left < 0.99 && h("span", { class: "looked-box", style: { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` } });
  const [w, height] = view.project.size;
  return h("span", { class: "looked-picture", style: { aspectRatio: `${w} / ${height}`, backgroundImage: `url("${fileOf(view.project.id, item.take, "thumbnail")}")`, backgroundSize: `${PICTURES * 100}% 100%`, backgroundPositionX: `${(100 * frame) / (PICTURES - 1)}%` } }, mark);
}

function steering(shot, item) {
  const mine = current();
  const target = item.steerable ? `${shot.id}/${item.name}` : shot.id;
  const on = (kind) => mine.steering.some((steered) => steered.kind === kind && steered.target === target);
  return h(
    "span",
    { class: "looked-steering" },
    [["pin", "pin", "Pin"], ["ban", "cross", "Ban"], ["boost", "plus", "Boost"]].map(([kind, shape, word]) =>
      button(`${word} ${item.label}`, () => edit(steered(mine, kind, target)).then(() => tell("looked")), { text: false, shape, "aria-pressed": String(on(kind)) }),
    ),
  );
}

// The edit that turns a kind of steering of a target on or off.
export function steered(shot, kind, target) {
  const has = { pin: shot.pins.includes(target), ban: shot.bans.includes(target), boost: target in shot.boosts };
  const boosts = { ...shot.boosts };
  delete boosts[target];
  if (kind === "boost" && !has.boost) boosts[target] = BOOST;
  const without = (list) => list.filter((other) => other !== target);
  return {
    op: "steer",
    shot: shot.id,
    pins: kind === "pin" && !has.pin ? [...shot.pins, target] : without(shot.pins),
    bans: kind === "ban" && !has.ban ? [...shot.bans, target] : without(shot.bans),
    boosts,
  };
}

const BOOST = 2; // added to a score of routing
