// A list of LoRAs with their weights: of the film, or of a shot.

import { get } from "./api.js";
import { sendEdit } from "./commands.js";
import { button, h } from "./dom.js";
import { notify, notifyError } from "./state.js";

/** @type {[value: string, label: string][]} */
const EXPERTS = [
  ["both", "both"],
  ["high", "high noise"],
  ["low", "low noise"],
];

const EXPERT_WORDS = new Map(EXPERTS);

/**
 * Each change is an edit of its own. With `experts` each LoRA has a choice of the transformer it goes into; those
 * that are for one of two have it in any case, and say that there is one.
 * @param {Lora[]} loras
 * @param {(change: (loras: Lora[]) => Lora[]) => Edit | null | false} edit of the list as it is when the edit is sent
 * @param {boolean} experts
 */
export function loraList(loras, edit, experts) {
  const error = h("span", { class: "field-error", role: "alert" });
  const send = (/** @type {(loras: Lora[]) => Lora[]} */ change) => {
    error.textContent = "";
    sendEdit(
      () => edit(change),
      (message) => {
        error.textContent = message;
        if (!error.isConnected) notify(message, "error");
      },
    );
  };
  const changed = (/** @type {number} */ index, /** @type {Partial<Lora>} */ fields) =>
    send((now) => {
      const found = indexOf(now, loras[index], index);
      return now.map((lora, at) => (at === found ? { ...lora, ...fields } : lora));
    });
  const removed = (/** @type {number} */ index) =>
    send((now) => {
      const found = indexOf(now, loras[index], index);
      return now.filter((_, at) => at !== found);
    });
  const row = (/** @type {Lora} */ lora, /** @type {number} */ index) =>
    h(
      "div",
      { class: "lora-row" },
      h("span", { class: "lora-name", title: lora.file }, shortName(lora.file)),
      (experts || lora.expert !== "both") &&
        select(`Transformer of ${shortName(lora.file)}`, EXPERTS, lora.expert, (expert) =>
          changed(index, { expert }),
        ),
      weight(lora, (value) => changed(index, { weight: value })),
      button(`Remove ${shortName(lora.file)}`, () => removed(index), {
        text: false,
        icon: "close",
      }),
    );
  const misplaced = !experts && loras.some((lora) => lora.expert !== "both");
  return h(
    "div",
    { class: "lora-list", "data-field": "LoRAs" },
    loras.map(row),
    misplaced &&
      h("span", { class: "why-off" }, "This model has one transformer: choose “both”, or remove it."),
    adding(send, experts),
    error,
  );
}

/**
 * Where a LoRA is in a list that was changed since it was drawn; -1 where it is gone.
 * @param {Lora[]} now
 * @param {Lora | undefined} lora
 * @param {number} index where it was
 */
const indexOf = (now, lora, index) =>
  now[index]?.file === lora?.file ? index : now.findIndex(({ file }) => file === lora?.file);

/** Lists are drawn again once their fields are left. @param {HTMLInputElement} input */
const leaveOnEnter = (input) =>
  input.addEventListener("keydown", (event) => event.key === "Enter" && input.blur());

/** The name of a file without folders and ending. @param {string} file */
const shortName = (file) => (file.split(/[\\/]/).at(-1) ?? file).replace(/\.safetensors$/, "");

/**
 * @param {string} label
 * @param {[value: string, label: string][]} choices
 * @param {string} value
 * @param {(value: string) => void} onchange
 */
export function select(label, choices, value, onchange) {
  const options = choices.map(([name, words]) =>
    h("option", { value: name, selected: name === value }, words),
  );
  const element = h("select", { "aria-label": label }, options);
  element.addEventListener("change", () => onchange(element.value));
  return element;
}

/**
 * @param {Lora} lora
 * @param {(value: number) => void} change
 */
function weight(lora, change) {
  const input = h("input", {
    type: "number",
    step: 0.1,
    min: -10,
    max: 10,
    value: String(lora.weight),
    title: "Weight; 0 switches it off",
    "aria-label": `Weight of ${shortName(lora.file)}`,
  });
  input.addEventListener("change", () => change(Number(input.value)));
  leaveOnEnter(input);
  return input;
}

/**
 * A LoRA that is added goes into the transformer that its name says it is for, where the model has `experts`.
 * @param {(change: (loras: Lora[]) => Lora[]) => void} send
 * @param {boolean} experts
 */
function adding(send, experts) {
  const input = h("input", {
    type: "text",
    placeholder: "Add a file or hub name",
    "aria-label": "Add a LoRA",
  });
  input.setAttribute("list", "lora-choices");
  input.addEventListener("focus", () => offerLoras().catch(notifyError));
  const add = () => {
    const file = input.value.trim();
    const expert = (experts && expertNamed(file)) || "both";
    if (file) send((now) => [...now, { file, weight: 1, expert }]);
  };
  input.addEventListener("change", add);
  leaveOnEnter(input);
  return input;
}

/**
 * The one of two transformers that the name of a LoRA's file says it is for; as the engine's `expert_named`.
 * @param {string} file
 */
function expertNamed(file) {
  const words =
    shortName(file)
      .toLowerCase()
      .match(/(?<![a-z])(high|low)(?![a-z])/g) ?? [];
  const [expert, another] = new Set(words);
  return another ? undefined : expert;
}

/** Offers the LoRA files on this machine in all fields for them, which take any other name as well. */
async function offerLoras() {
  const found = document.getElementById("lora-choices");
  const choices = found ?? h("datalist", { id: "lora-choices" });
  if (!found) document.body.append(choices);
  const library = /** @type {LibraryLora[]} */ (await get("/loras"));
  const usable = library.filter(({ problem }) => problem === null);
  choices.replaceChildren(
    ...usable.map((lora) => h("option", { value: lora.file, label: `${lora.name}: ${loraWords(lora)}` })),
  );
}

/** @param {LibraryLora} lora */
function loraWords({ rank, expert, preset }) {
  const words = [`rank ${rank}`, expert && EXPERT_WORDS.get(expert), preset];
  return words.filter(Boolean).join(" · ");
}
