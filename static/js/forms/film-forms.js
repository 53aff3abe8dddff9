// Gradio's forms (studio/web/forms.py): their values, the model's own, and what it cannot use or does not know.

import { h } from "../common/dom.js";
import { start } from "../common/project.js";
import { page, subscribe } from "../common/state.js";
import { unknownWords } from "../common/unknown-words.js";
import { connectFields, updateFields } from "./form-fields.js";

const MODEL_FIELDS = "#form-model input, #form-draft_model input";

const OPTIONS = ["scheduler", "shift", "guidance_2", "step_cache"]; // that not every model has

// Settings that a model has itself: those that are typed, and those that are chosen from a list.
const TYPED = ["steps", "guidance", "guidance_2", "shift", "negative_prompt", "keyframes"];
const CHOSEN = ["scheduler", "step_cache", "memory_policy", "memory_storage", "positions", "router"];

const CHINESE_DEFAULT =
  "The model's is the Chinese text that its authors render with: overexposed, static, deformed, and so on";

/** @param {string} name */
const fieldOf = (name) => document.getElementById(`form-${name}`);

/**
 * @param {string} name
 * @param {[text: string, spans: UnknownSpan[]][]} texts
 */
function nameUnknownWords(name, texts) {
  fieldOf(name)?.querySelector(".unknown-words")?.remove();
  const words = unknownWords(texts);
  if (words) fieldOf(name)?.append(words);
}

/**
 * Switches off what the model cannot use: options are hidden, and the negative prompt says why.
 * @param {Record<string, string>} lacks
 */
function switchOff(lacks) {
  for (const name of OPTIONS) fieldOf(name)?.classList.toggle("no-option", name in lacks);
  fieldOf("no_negative_prompt")?.classList.toggle("no-option", "negative_prompt" in lacks);
  const field = fieldOf("negative_prompt");
  const reason = lacks.negative_prompt ?? "";
  const input = field?.querySelector("textarea");
  if (!field || !input) return;
  input.disabled = Boolean(reason);
  field.classList.toggle("switched-off", Boolean(reason));
  putBelow(field, "why-off", reason);
}

/**
 * Shows the model's own values: in fields that are empty, and below lists.
 * @param {ProjectState} project
 */
function showDefaults({ defaults, settings }) {
  for (const name of TYPED) {
    const input = fieldOf(name)?.querySelector("textarea, input");
    const none = name === "negative_prompt" && settings.negative_prompt === "";
    if (input) input.setAttribute("placeholder", none ? "none" : (defaults[name] ?? ""));
  }
  for (const name of CHOSEN) {
    const words = defaults[name] ? `The model's: ${defaults[name]}` : "";
    putBelow(fieldOf(name), "own-default", words);
  }
  const chinese = /\p{Script=Han}/u.test(defaults.negative_prompt ?? "");
  putBelow(fieldOf("negative_prompt"), "own-default", chinese ? CHINESE_DEFAULT : "");
}

/**
 * Puts a line below a field; none where it has no words.
 * @param {HTMLElement | null} field
 * @param {string} kind class of the line
 * @param {string} words
 */
function putBelow(field, kind, words) {
  const shown = field?.querySelector(`.${kind}`);
  if (!field || (shown?.textContent ?? "") === words) return;
  shown?.remove();
  if (words) field.append(h("p", { class: kind }, words));
}

/** @param {() => void} fill has Gradio ask for the values of its fields */
export function mount(fill) {
  document.addEventListener("focusin", async ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !target.matches(MODEL_FIELDS)) return;
    (await import("./model-choices.js")).offerModels(target);
  });
  connectFields(fill);
  subscribe("project", () => {
    if (!page.project) return;
    const { style, style_unknown: unknown, cast } = page.project;
    nameUnknownWords("style", [[style, unknown]]);
    nameUnknownWords(
      "cast",
      cast.map((member) => [member.look ?? "", member.unknown]),
    );
    switchOff(page.project.lacks);
    showDefaults(page.project);
    updateFields();
  });
  const left = document.getElementById("left"); // its forms are made when they are first unfolded
  const made = new MutationObserver(() => {
    if (!page.project) return;
    switchOff(page.project.lacks);
    showDefaults(page.project);
  });
  if (left) made.observe(left, { childList: true, subtree: true });
  start();
}
