// Two takes of a shot side by side, played in step, with the difference of their routing.

import { get, takeFile } from "../common/api.js";
import { button, fill, h } from "../common/dom.js";
import { drawFigure } from "../common/figures.js";
import { percent } from "../common/format.js";
import { openProjectState, shotIndex } from "../common/state.js";
import { contextWords } from "./context-words.js";

const LEAST_CHANGE = 0.005;
const MOST_NAMED = 4;
const IN_STEP = 0.04; // s

/**
 * With `names`, such as "Draft" and "Final", each side offers the takes of its own model alone.
 * @param {Shot} shot
 * @param {[left: string, right: string]} ids
 * @param {[left: string, right: string] | null} names above the videos
 */
export function compareTakes(shot, ids, names = null) {
  const project = openProjectState().id;
  const shown = [...ids];
  const videos = ids.map(() =>
    h("video", { muted: true, loop: true, playsInline: true, onclick: () => toggle() }),
  );
  const [first, second] = videos;
  const contexts = ids.map(() => h("p", { class: "quiet" }));
  const routing = h("div", { class: "routing-difference" });
  const position = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.001,
    value: 0,
    "aria-label": "Moment",
  });
  const takeOf = (/** @type {string} */ id) =>
    /** @type {Take} */ (shot.takes.find((take) => take.id === id));
  const show = (/** @type {number} */ index, /** @type {string} */ take) => {
    shown[index] = take;
    videos[index].src = takeFile(project, take, "clip");
    contexts[index].textContent = contextWords(takeOf(take));
    showDifference(routing, project, shown, names ? `The ${names[1].toLowerCase()}` : "The right take");
  };
  const play = () => {
    for (const video of videos) video.play().catch(() => {});
  };
  const pause = () => {
    for (const video of videos) video.pause();
  };
  const toggle = () => (first.paused ? play() : pause());
  const keepInStep = () => {
    const apart = Math.abs(second.currentTime - first.currentTime) > IN_STEP;
    if (apart && second.readyState > 1 && !second.seeking) second.currentTime = first.currentTime;
  };
  first.addEventListener("seeked", keepInStep);
  first.addEventListener("timeupdate", () => {
    keepInStep();
    position.value = String(first.currentTime / (first.duration || 1));
  });
  position.addEventListener("input", () => {
    pause();
    for (const video of videos) video.currentTime = Number(position.value) * (video.duration || 0);
  });
  const chooser = (/** @type {number} */ index) => {
    const { model } = takeOf(ids[index]);
    const takes = shot.takes.filter((take) => !take.discarded && (!names || take.model === model));
    const label = (/** @type {Take} */ take) =>
      `Take ${shot.takes.indexOf(take) + 1} · seed ${take.seed}${take.chosen ? " · in the film" : ""}`;
    const select = h(
      "select",
      { "aria-label": index ? "Right take" : "Left take" },
      takes.map((take) => h("option", { value: take.id, selected: take.id === ids[index] }, label(take))),
    );
    select.addEventListener("change", () => {
      show(index, select.value);
      play();
    });
    return select;
  };
  const close = () => void dialog.close();
  const dialog = h(
    "dialog",
    {
      class: "studio-panel compare",
      "aria-label": "Two takes side by side",
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.stopPropagation(),
    },
    h(
      "div",
      { class: "row" },
      h("h3", {}, `Takes of shot ${shotIndex(shot.id) + 1}`),
      h("span", { class: "grow" }),
      button("Close", close, { text: false, icon: "close" }),
    ),
    h(
      "div",
      { class: "pair" },
      videos.map((video, index) =>
        h(
          "div",
          {},
          names && h("h4", {}, `${names[index]} · ${takeOf(ids[index]).model}`),
          video,
          chooser(index),
          contexts[index],
        ),
      ),
    ),
    h("div", { class: "row" }, button("Play or pause both", toggle, { icon: "play" }), position),
    routing,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  for (const [index, take] of ids.entries()) show(index, take);
  play();
}

/**
 * What the right take attended to more or less than the left one, in words and as a figure.
 * @param {HTMLElement} element
 * @param {string} project
 * @param {string[]} takes
 * @param {string} subject the right take in words
 */
async function showDifference(element, project, [left, right], subject) {
  const key = `${left} ${right}`;
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  if (left === right) return fill(element);
  try {
    const found = await get(`/projects/${project}/takes/${left}/routing/against/${right}`);
    if (element.dataset.key !== key) return;
    const label = "Attention of the right take compared with the left one";
    const plot = h("div", { class: "plot", role: "img", "aria-label": label });
    fill(
      element,
      h("p", { class: "summary" }, h("strong", {}, "Routing. "), differenceWords(found.shots, subject)),
      plot,
    );
    await drawFigure(plot, found.figure, { height: 220, name: "difference" });
  } catch (error) {
    if (element.dataset.key === key)
      fill(element, h("p", { class: "quiet" }, /** @type {Error} */ (error).message));
  }
}

/**
 * @param {[name: string, change: number][]} shots
 * @param {string} subject
 */
function differenceWords(shots, subject) {
  const changed = shots.filter(([, change]) => Math.abs(change) >= LEAST_CHANGE).slice(0, MOST_NAMED);
  if (!changed.length) return "Both takes attended to the same.";
  const words = changed.map(
    ([name, change]) =>
      `${percent(Math.abs(change))} ${change > 0 ? "more" : "less"} of its attention to ${name}`,
  );
  return `${subject} gave ${words.join(", ")}.`;
}
