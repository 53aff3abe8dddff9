// The values of Gradio's fields (studio/web/forms.py). Gradio calls `window.studioForms` at once, so that a field
// that is left is saved before the command that follows.

import { sendField } from "../common/commands.js";
import { page } from "../common/state.js";

const MOST_SEEN = 10;

/**
 * A field of the open project: the values it has shown or sent, the latest last, and how often it is being saved.
 * @typedef {{ seen: unknown[], saving: number }} Field
 */

let project = ""; // whose values the fields have
let fields = /** @type {Map<string, Field>} */ (new Map()); // by name

/** The film's value of a field. @param {string} name */
const shown = (name) => page.project?.fields[name];

/** @param {unknown} value */
const text = (value) => String(value ?? "");

/** @param {string} name */
const elementOf = (name) => document.getElementById(`form-${name}`);

/** Whether a text is typed into a field. @param {string} name */
function isTyped(name) {
  const focused = document.activeElement;
  return Boolean(
    focused?.matches("textarea, input:not([type=checkbox], [type=radio])") &&
      elementOf(name)?.contains(focused),
  );
}

/** Whether a field does not show the film's value, and nobody is changing it. @param {[string, Field]} entry */
const isOld = ([name, { seen, saving }]) =>
  !seen.length || (!saving && !isTyped(name) && text(seen.at(-1)) !== text(shown(name)));

let fillFields = () => {};

/** Takes the values of the open project; what was typed into fields that did not change stays. */
export function updateFields() {
  if (!page.project) return;
  if (project !== page.project.id) {
    project = page.project.id;
    fields = new Map(Object.keys(page.project.fields).map((name) => [name, { seen: [], saving: 0 }]));
  }
  if ([...fields].some(isOld)) fillFields();
}

/**
 * Lets Gradio have values for its fields.
 * @param {() => void} fill has Gradio ask for them
 */
export function connectFields(fill) {
  fillFields = fill;
  window.studioForms = { save, values };
}

/**
 * What the fields are to show, and then the messages below them; undefined where it stays.
 * @param {string[]} names
 */
function values(names) {
  const old = new Set([...fields].filter(isOld).map(([name]) => name));
  for (const name of old) Object.assign(fields.get(name) ?? {}, { seen: [shown(name)] });
  return [
    ...names.map((name) => (old.has(name) ? shown(name) : undefined)),
    ...names.map((name) => (old.has(name) ? "" : undefined)),
  ];
}

/**
 * Saves a field, in one order with all other commands; nothing where it was not filled yet.
 * @param {string} name
 * @param {unknown} value
 * @param {boolean} leaving whether it was only left, so that it may be unchanged
 */
function save(name, value, leaving) {
  const field = fields.get(name);
  return field?.seen.length ? saveField(name, field, value, leaving) : undefined;
}

/**
 * Returns the message to show below the field; undefined where that stays. What was refused can be sent again.
 * @param {string} name
 * @param {Field} field
 * @param {unknown} value
 * @param {boolean} leaving
 */
async function saveField(name, field, value, leaving) {
  const { seen } = field;
  if (leaving && text(value) === text(seen.at(-1))) {
    updateFields(); // which left it as it was while it had the focus
    return field.saving ? undefined : "";
  }
  field.seen = [...seen, value].slice(-MOST_SEEN);
  field.saving += 1;
  let refusal = "";
  await sendField(project, name, { value, seen }, (message) => {
    refusal = `⚠ ${message}`;
  });
  field.saving -= 1;
  if (fields.get(name) !== field) return undefined; // another project is open
  if (refusal && !field.saving) field.seen = [shown(name)];
  updateFields();
  return refusal;
}
