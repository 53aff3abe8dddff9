// The takes of the selected shot.

import { takeFile } from "../common/api.js";
import { sendEdit } from "../common/commands.js";
import { button, fill, h, icon, part, updateList } from "../common/dom.js";
import { duration } from "../common/format.js";
import { start } from "../common/project.js";
import { openProjectState, selectedShot, subscribe } from "../common/state.js";
import { contextWords } from "./context-words.js";

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

/** What the chosen take is: the film shows a draft only where it has no final. @param {Shot} shot */
const chosenWords = (shot) =>
  openProjectState().lane === "draft" && shot.other_take ? "the draft" : "in the film";

/**
 * @param {HTMLElement} element
 * @param {Shot} shot
 * @param {Take} take
 */
function updateTake(element, shot, take) {
  const number = shot.takes.indexOf(take) + 1;
  element.classList.toggle("chosen", take.chosen);
  const { lane } = openProjectState();
  const key = JSON.stringify([take, number, shot.id, shot.caption, shot.other_take, lane]);
  if (element.dataset.drawn === key) return;
  element.dataset.drawn = key;
  const picture = takeFile(openProjectState().id, take.id, "thumbnail");
  element.style.setProperty("--picture", `url("${picture}")`);
  const time = new Date(take.created * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  fill(
    part(element, ".take-words"),
    h("strong", {}, `Take ${number}`),
    h("span", {}, `seed ${take.seed} · ${take.seconds.toFixed(1)} s`),
    h("span", {}, `${time} · rendered in ${duration(take.spent)}`),
    h("span", {}, take.model),
    h("span", { class: "quiet" }, contextWords(take)),
    take.caption !== shot.caption && h("span", { class: "quiet" }, `rendered for: ${take.caption}`),
  );
  const choose = () => sendEdit({ op: "choose", shot: shot.id, take: take.id });
  const restore = () => sendEdit({ op: "restore", shot: shot.id, take: take.id });
  fill(
    part(element, ".row"),
    take.id === shot.other_take &&
      h(
        "span",
        { class: "chip" },
        icon("check"),
        openProjectState().lane === "draft" ? "the final" : "the draft",
      ),
    take.chosen
      ? h("span", { class: "chip" }, icon("check"), chosenWords(shot))
      : button("Use this take", choose, { title: "Show this take in the film" }),
    button("Restore settings", restore, {
      title: "Give the shot the caption, length, seed and other settings that this take was rendered with",
    }),
    button("Delete take", () => sendEdit({ op: "discard", take: take.id }), { text: false, icon: "remove" }),
  );
}
