// The takes of the selected shot.

import { takeFile } from "../common/api.js";
import { sendEdit } from "../common/commands.js";
import { button, fill, h, icon, part, updateList } from "../common/dom.js";
import { duration, percent } from "../common/format.js";
import { start } from "../common/project.js";
import { openProjectState, selectedShot, subscribe } from "../common/state.js";

/** @param {HTMLElement} element */
export function mount(element) {
  const list = h("div", { class: "takes" });
  const empty = h("p", { class: "quiet" }, "The selected shot has no takes yet. Render it to get one.");
  const header = h("div", { class: "row" });
  fill(element, h("div", { class: "panel" }, header, empty, list));
  subscribe("project selection", () => {
    const shot = selectedShot();
    const takes = shot?.takes.filter((take) => !take.discarded) ?? [];
    empty.hidden = takes.length > 0;
    fill(header, shot && headerParts(shot, takes));
    if (shot) {
      const key = (/** @type {Take} */ take) => `${openProjectState().id} ${take.id}`;
      updateList(list, takes.toReversed(), key, makeTake, (box, take) => updateTake(box, shot, take));
    } else fill(list);
  });
  start();
}

/**
 * @param {Shot} shot
 * @param {Take[]} takes
 */
function headerParts(shot, takes) {
  const left = shot.take ?? takes[0]?.id;
  const right = takes.findLast((take) => take.id !== left);
  const deleted = shot.takes.length - takes.length;
  const compare = async () => right && (await import("./compare.js")).compareTakes(shot, [left, right.id]);
  return [
    right && button("Compare", compare, { title: "Play two takes side by side" }),
    deleted > 0 && h("span", { class: "quiet" }, `${deleted} deleted; undo brings them back`),
  ];
}

/** @param {Take} take */
function makeTake(take) {
  const clip = h("video", {
    class: "take-clip",
    muted: true,
    loop: true,
    preload: "none",
    playsInline: true,
    src: takeFile(openProjectState().id, take.id, "clip"),
    onmouseenter: () => clip.play().catch(() => {}),
    onmouseleave: () => clip.pause(),
  });
  return h("div", { class: "take" }, clip, h("div", { class: "take-words" }), h("div", { class: "row" }));
}

/**
 * Takes that the film no longer shows are counted together.
 *
 * @param {Take} take
 */
function sourcesInWords(take) {
  const shown = take.context.filter(([index]) => index !== null);
  const older = take.context.filter(([index]) => index === null);
  const words = shown.map(([index, share]) => `shot ${Number(index) + 1} ${percent(share)}`);
  if (!older.length) return words;
  const total = older.reduce((sum, [, share]) => sum + share, 0);
  return [
    ...words,
    `${older.length === 1 ? "an older take" : `${older.length} older takes`} ${percent(total)}`,
  ];
}

/**
 * @param {HTMLElement} element
 * @param {Shot} shot
 * @param {Take} take
 */
function updateTake(element, shot, take) {
  const number = shot.takes.indexOf(take) + 1;
  element.classList.toggle("chosen", take.chosen);
  const key = JSON.stringify([take, number, shot.id, shot.caption]);
  if (element.dataset.drawn === key) return;
  element.dataset.drawn = key;
  const picture = takeFile(openProjectState().id, take.id, "thumbnail");
  element.style.setProperty("--picture", `url("${picture}")`);
  const sources = sourcesInWords(take);
  const time = new Date(take.created * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  fill(
    part(element, ".take-words"),
    h("strong", {}, `Take ${number}`),
    h("span", {}, `seed ${take.seed} · ${take.seconds.toFixed(1)} s`),
    h("span", {}, `${time} · rendered in ${duration(take.spent)}`),
    h(
      "span",
      { class: "quiet" },
      sources.length ? `drew on ${sources.join(", ")}` : "drew on no earlier shot",
    ),
    take.caption !== shot.caption && h("span", { class: "quiet" }, `rendered for: ${take.caption}`),
  );
  const choose = () => sendEdit({ op: "choose", shot: shot.id, take: take.id });
  const restore = () => sendEdit({ op: "restore", shot: shot.id, take: take.id });
  fill(
    part(element, ".row"),
    take.chosen
      ? h("span", { class: "chip" }, icon("check"), "in the film")
      : button("Use this take", choose, { title: "Show this take in the film" }),
    button("Restore settings", restore, {
      title: "Give the shot the caption, length, seed and other settings that this take was rendered with",
    }),
    button("Delete take", () => sendEdit({ op: "discard", take: take.id }), { text: false, icon: "remove" }),
  );
}
