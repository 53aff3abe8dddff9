// A field for a number that is sent as an edit once it is left.

import { sendEdit } from "./commands.js";
import { h } from "./dom.js";

/**
 * An error is shown below the field, which keeps what was typed. Left empty it sends null, if there is a
 * `placeholder` that says what null means.
 * @param {string} label
 * @param {string} unit
 * @param {number | null} value
 * @param {(number: number | null) => Edit | null | false} edit made when it is sent
 * @param {string | null} placeholder
 */
export function numberField(label, unit, value, edit, placeholder = null) {
  const shown = value === null ? "" : String(Math.round(value * 1000) / 1000);
  const error = h("span", { class: "field-error", role: "alert" });
  const refuse = (/** @type {string} */ message) => {
    error.textContent = `${label} ${message}`;
  };
  const save = () => {
    const typed = input.value.trim().replace(",", ".");
    error.textContent = "";
    if (typed === shown) return;
    if (typed === "" && placeholder) sendEdit(() => edit(null), refuse);
    else if (typed === "" || !Number.isFinite(Number(typed)))
      refuse(`must be a number, got “${input.value}”`);
    else sendEdit(() => edit(Number(typed)), refuse);
  };
  const input = h("input", {
    type: "text",
    inputMode: "decimal",
    value: shown,
    placeholder,
    onchange: save,
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && input.blur(),
  });
  return h(
    "label",
    { class: "field", "data-field": label },
    h("span", {}, unit ? `${label} (${unit})` : label),
    input,
    error,
  );
}
