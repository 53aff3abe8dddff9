// Tells Gradio's forms (studio/web/forms.py) which project is open, the values of its film and which of them
// changed; and names below the forms the words that the model does not know.

import { h } from "../common/dom.js";
import { start } from "../common/project.js";
import { page, subscribe } from "../common/state.js";
import { unknownWords } from "../common/unknown-words.js";

const MODEL_FIELDS = "#form-model input, #form-draft_model input";

const OPTIONS = ["scheduler", "shift", "guidance_2", "step_cache"]; // that not every model has

// Settings that a model has itself: those that are typed, and those that are chosen from a list.
const TYPED = ["steps", "guidance", "guidance_2", "shift", "negative_prompt", "keyframes"];
const CHOSEN = ["scheduler", "step_cache", "memory_policy", "memory_storage", "positions", "router"];

const CHINESE_DEFAULT =
  "The model's is the Chinese text that its authors render with: overexposed, static, deformed, and so on";

/** @typedef {Record<string, unknown>} Film values of the fields, by name */

/** @param {number | null} number */
const numberText = (number) => (number === null ? "" : String(number));

/**
 * The values of the fields, as `shown` in studio/web/form_values.py has them.
 * @param {ProjectState} project
 * @returns {Film}
 */
function filmOf({ title, style, size, fps, seed, cast, settings }) {
  return {
    title,
    style,
    size: size.join("x"),
    fps: numberText(Math.round(fps * 1000) / 1000),
    seed: numberText(seed),
    cast: cast.map(({ name, look }) => (look ? `${name}: ${look}` : name)).join("\n"),
    model: settings.model ?? "",
    steps: numberText(settings.steps),
    guidance: numberText(settings.guidance),
    top_k: numberText(settings.top_k),
    full_below: String(settings.full_below ?? ""),
    rerender_threshold: settings.rerender_threshold,
    looks: settings.looks,
    negative_prompt: settings.negative_prompt ?? "",
    no_negative_prompt: settings.negative_prompt === "",
    scheduler: settings.scheduler ?? "",
    shift: numberText(settings.shift),
    guidance_2: numberText(settings.guidance_2),
    step_cache: settings.step_cache ?? "",
    memory_policy: settings.memory_policy ?? "",
    keyframes: numberText(settings.keyframes),
    memory_storage: settings.memory_storage ?? "",
    positions: settings.positions ?? "",
    router: settings.router ?? "",
    draft_model: settings.draft_model ?? "",
  };
}

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

/** @param {(value: { project: string, revision: number, film: Film, changed: string[] }) => void} send */
export function mount(send) {
  document.addEventListener("focusin", async ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !target.matches(MODEL_FIELDS)) return;
    (await import("./model-choices.js")).offerModels(target);
  });
  let last = { project: "", revision: -1, film: /** @type {Film} */ ({}) };
  subscribe("project", () => {
    if (!page.project) return;
    const { id, revision, style, style_unknown: unknown, cast } = page.project;
    nameUnknownWords("style", [[style, unknown]]);
    nameUnknownWords(
      "cast",
      cast.map((member) => [member.look ?? "", member.unknown]),
    );
    switchOff(page.project.lacks);
    showDefaults(page.project);
    if (id === last.project && revision === last.revision) return;
    const film = filmOf(page.project);
    const before = id === last.project ? last.film : {};
    const typing = (/** @type {string} */ name) => fieldOf(name)?.contains(document.activeElement);
    const changed = Object.keys(film).filter((name) => film[name] !== before[name] && !typing(name));
    last = { project: id, revision, film };
    send({ ...last, changed });
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
