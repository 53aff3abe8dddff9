// The LoRAs of the film, among the options of the model.

import { sendEdit } from "../common/commands.js";
import { button, h, redraw } from "../common/dom.js";
import { loraList } from "../common/lora-list.js";
import { start } from "../common/project.js";
import { isOpen, openProjectState, page, subscribe } from "../common/state.js";

/** @param {HTMLElement} element */
export function mount(element) {
  let drawn = "";
  const draw = () => {
    if (!page.project) return;
    const { id, settings, lacks, lora_samplers } = page.project;
    const key = JSON.stringify([id, settings, lacks, lora_samplers]);
    const focused = document.activeElement;
    if (key === drawn || (element.contains(focused) && !(focused instanceof HTMLButtonElement))) return;
    drawn = key;
    const samplers = lora_samplers.map((sampler) => useSampler(settings, lacks, sampler));
    redraw(element, id, h("h4", {}, "LoRAs"), parts(id, settings, lacks), samplers, missing(lacks));
  };
  element.addEventListener("focusout", () => setTimeout(draw));
  subscribe("project", draw);
  start();
}

/**
 * A button that sets the sampler as a LoRA for few steps needs it; nothing where it is set so already.
 * @param {Settings} settings
 * @param {Record<string, string>} lacks
 * @param {LoraSampler} sampler
 */
function useSampler(settings, lacks, sampler) {
  const { steps, guidance, guidance_2, scheduler, shift } = sampler;
  const needed = {
    steps,
    guidance,
    ...(lacks.guidance_2 ? {} : { guidance_2 }),
    ...(lacks.scheduler ? {} : { scheduler, shift }),
  };
  const now = /** @type {Record<string, unknown>} */ (settings);
  if (Object.entries(needed).every(([name, value]) => now[name] === value)) return null;
  const said = `${steps} steps, guidance ${guidance}${lacks.scheduler ? "" : `, Euler, shift ${shift}`}`;
  return h(
    "p",
    { class: "lora-sampler" },
    `${sampler.preset} needs ${said}. `,
    button("Use these settings", () =>
      sendEdit(() => ({ op: "settings", settings: { ...openProjectState().settings, ...needed } })),
    ),
  );
}

/** What else the model has not, whose fields are hidden. @param {Record<string, string>} lacks */
function missing(lacks) {
  const reasons = new Set(["scheduler", "guidance_2", "step_cache"].flatMap((name) => lacks[name] ?? []));
  return [...reasons].map((reason) => h("p", { class: "why-off" }, reason));
}

/**
 * @param {string} project
 * @param {Settings} settings
 * @param {Record<string, string>} lacks
 */
function parts(project, settings, lacks) {
  if (lacks.loras && !settings.loras.length) return h("p", { class: "why-off" }, lacks.loras);
  const edit = (/** @type {(loras: Lora[]) => Lora[]} */ change) => {
    const now = isOpen(project) && openProjectState().settings;
    return now && { op: "settings", settings: { ...now, loras: change(now.loras) } };
  };
  return [
    h("p", { class: "info" }, "Small files that change a model's style, or let it need few steps"),
    lacks.loras && h("p", { class: "why-off" }, lacks.loras),
    loraList(settings.loras, edit, !lacks.guidance_2),
  ];
}
