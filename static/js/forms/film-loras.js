// The LoRAs of the film, among the options of the model.

import { fill, h } from "../common/dom.js";
import { loraList } from "../common/lora-list.js";
import { start } from "../common/project.js";
import { page, subscribe } from "../common/state.js";

/** @param {HTMLElement} element */
export function mount(element) {
  let drawn = "";
  const draw = () => {
    if (!page.project) return;
    const { id, settings, lacks } = page.project;
    const key = JSON.stringify([id, settings.loras, lacks]);
    if (key === drawn || element.contains(document.activeElement)) return;
    drawn = key;
    fill(element, h("h4", {}, "LoRAs"), parts(settings, lacks), missing(lacks));
  };
  element.addEventListener("focusout", () => setTimeout(draw));
  subscribe("project", draw);
  start();
}

/** What else the model has not, whose fields are hidden. @param {Record<string, string>} lacks */
function missing(lacks) {
  const reasons = new Set(["scheduler", "guidance_2", "step_cache"].flatMap((name) => lacks[name] ?? []));
  return [...reasons].map((reason) => h("p", { class: "why-off" }, reason));
}

/**
 * @param {Settings} settings
 * @param {Record<string, string>} lacks
 */
function parts(settings, lacks) {
  if (lacks.loras && !settings.loras.length) return h("p", { class: "why-off" }, lacks.loras);
  const edit = (/** @type {Lora[]} */ loras) => ({
    op: "settings",
    settings: { ...(page.project?.settings ?? settings), loras },
  });
  return [
    h("p", { class: "info" }, "Small files that change a model's style, or let it need few steps"),
    lacks.loras && h("p", { class: "why-off" }, lacks.loras),
    loraList(settings.loras, edit, !lacks.guidance_2),
  ];
}
