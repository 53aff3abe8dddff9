// How finals are made from their drafts: of the film, or of a shot.

import { sendEdit } from "./commands.js";
import { h } from "./dom.js";
import { numberField } from "./number-field.js";

const LEFT_ALONE = { guide_strength: null, control_scale: null };

/** What each choice sets. @type {Record<string, DraftUse>} */
const USES = {
  film: LEFT_ALONE,
  none: { guide_strength: 1, control_scale: null },
  guide: { guide_strength: 0.6, control_scale: null },
  control: { guide_strength: null, control_scale: 1 },
};

const WORDS = {
  none: "not used",
  guide: "start from the draft",
  control: "control by the draft",
};

/**
 * A choice, and the number that goes with it. What the model cannot do is offered only where it is chosen.
 * @param {DraftUse} use
 * @param {(use: DraftUse) => Edit | null | false} edit made when it is sent
 * @param {Record<string, string>} lacks
 * @param {DraftUse | null} film what the film says, of a shot
 */
export function draftUse(use, edit, lacks, film = null) {
  const label = film ? "Use of its draft" : "Use of drafts in finals";
  const chosen = choiceOf(use) ?? (film ? "film" : "none");
  const choices = [
    ...(film ? [["film", `as the film: ${WORDS[choiceOf(film) ?? "none"]}`]] : []),
    ["none", WORDS.none],
    ...(!lacks.guide_strength || chosen === "guide" ? [["guide", WORDS.guide]] : []),
    ...(!lacks.control_scale || chosen === "control" ? [["control", WORDS.control]] : []),
  ];
  const select = h(
    "select",
    { "aria-label": label },
    choices.map(([name, words]) => h("option", { value: name, selected: name === chosen }, words)),
  );
  select.addEventListener("change", () =>
    sendEdit(() => edit(!film && select.value === "none" ? LEFT_ALONE : USES[select.value])),
  );
  return h(
    "div",
    { class: "draft-use field" },
    h("span", {}, label),
    select,
    number(chosen, use, edit),
    h("span", { class: "info" }, hint(chosen === "film" && film ? (choiceOf(film) ?? "none") : chosen)),
    reason(chosen === "film" && film ? choiceOf(film) : chosen, lacks),
  );
}

/** @param {DraftUse} use @returns {"none" | "guide" | "control" | null} */
function choiceOf({ guide_strength, control_scale }) {
  if (control_scale !== null) return "control";
  if (guide_strength === null) return null;
  return guide_strength < 1 ? "guide" : "none";
}

/**
 * @param {string} chosen
 * @param {DraftUse} use
 * @param {(use: DraftUse) => Edit | null | false} edit
 */
function number(chosen, use, edit) {
  if (chosen === "guide")
    return numberField("Strength", "", use.guide_strength, (strength) =>
      edit({ guide_strength: strength, control_scale: null }),
    );
  if (chosen === "control")
    return numberField("Scale", "", use.control_scale, (scale) =>
      edit({ guide_strength: null, control_scale: scale }),
    );
  return false;
}

/** @param {string} choice */
function hint(choice) {
  if (choice === "guide") return "Strength 0.6 keeps the draft's layout and motion, 0.3 nearly all.";
  if (choice === "control") return "The final follows the draft throughout; below 1 it does so more freely.";
  return "";
}

/**
 * Why a choice has no effect.
 * @param {string | null} choice
 * @param {Record<string, string>} lacks
 */
function reason(choice, lacks) {
  const lack = choice === "guide" ? lacks.guide_strength : choice === "control" && lacks.control_scale;
  return lack && h("span", { class: "why-off" }, lack);
}
