// What a part of a shot looked at: a list of past chunks with pictures, strongest first.

import { fileOf } from "./api.js";
import { button, h, percent } from "./dom.js";
import { KINDS, steered, steersBy } from "./steering.js";
import { current, edit, seek, shotOf, tell, view } from "./store.js";

const PICTURES = 8; // in a take's filmstrip

// `lit` lays the light of an entry over the picture: the strongest's, or that of the one that is pointed at.
export function lookedList(looked, lit = null) {
  const shown = looked.drawn.filter((item) => item.steerable || item.kind === "caption");
  const most = Math.max(...shown.map((item) => item.share), 1e-9);
  if (lit && shown.length) lit(shown[0]);
  const nowhere = looked.drawn.reduce((sum, item) => sum + (shown.includes(item) ? 0 : item.share), 0);
  return h(
    "div",
    { class: "looked" },
    h("h4", {}, `${looked.part} looked at`, h("span", { class: "quiet" }, ` · shares of its attention; ${percent(looked.own)} stayed in the shot${nowhere >= 0.005 ? `, ${percent(nowhere)} went to places that show nothing` : ""}`)),
    shown.length ? null : h("p", { class: "quiet" }, "Nothing earlier."),
    lit && shown.length ? h("p", { class: "quiet" }, "The light over the picture: where it drew on the first of these, or on the one that you point at.") : null,
    shown.map((item) => row(item, most, lit && { enter: () => lit(item), leave: () => lit(shown[0]) })),
  );
}

function row(item, most, light) {
  const shot = item.shot && shotOf(item.shot);
  const go = () => shot && seek(shot.begins + Math.max(0, Math.min(shot.seconds - 0.05, (item.at ?? 0) - shot.trim)));
  return h(
    "div",
    { class: "looked-row", ...(light && { onpointerenter: light.enter, onfocusin: light.enter, onpointerleave: light.leave, onfocusout: light.leave }) },
    h("button", { type: "button", class: "looked-at", onclick: go, disabled: !shot, title: shot ? "Show this moment in the film" : "The film no longer shows this take" }, picture(item), h("span", { class: "looked-name" }, item.label), h("span", { class: "looked-bar" }, h("span", { style: { width: `${(100 * item.share) / most}%` } })), h("span", { class: "share" }, percent(item.share))),
    shot && item.steerable ? steeringOf(`${shot.id}/${item.name}`, item.label) : h("span", { class: "looked-steering" }),
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

// Pins, bans and boosts a target, a shot or a part of one, for the selected shot.
export function steeringOf(target, label) {
  const mine = current();
  return h(
    "span",
    { class: "looked-steering" },
    Object.entries(KINDS).map(([kind, { shape, word }]) =>
      button(`${word} ${label}`, () => edit(() => shotOf(mine.id) && steered(shotOf(mine.id), kind, target)).then(() => tell("looked")), { text: false, shape, "aria-pressed": String(steersBy(mine, kind, target)) }),
    ),
  );
}
