// The style: words that are added to the caption of every shot of a video.

import { h } from "../common/dom.js";

/** @param {import("./editing.js").Editing} editing */
export function styleField(editing) {
  const field = h("input", {
    type: "text",
    maxLength: 2000,
    placeholder: "ink on paper",
    "aria-label": "Style of all shots",
  });
  const element = h(
    "label",
    { class: "field footage-style" },
    "Style, added to the caption of every shot",
    field,
  );
  const shown = () => editing.state?.style ?? "";
  let before = ""; // the style when it was last left or shown
  const unsaved = () => field.value !== before && field.value.trim() !== shown();
  const edit = () => ({ op: "style", style: field.value });
  const save = () => {
    const typed = edit();
    if (unsaved()) editing.edit(() => typed);
    before = field.value;
  };
  const leaving = () => unsaved() && editing.sendLast(edit());
  field.addEventListener("blur", save);
  window.addEventListener("pagehide", leaving);
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  });
  editing.addEventListener("state", () => {
    if (document.activeElement === field && field.value !== before) return;
    field.value = shown();
    before = field.value;
  });
  const end = () => {
    save();
    window.removeEventListener("pagehide", leaving);
  };
  return { element, end };
}
