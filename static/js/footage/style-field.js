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
  field.addEventListener("change", () => editing.edit({ op: "style", style: field.value }));
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  });
  editing.addEventListener("state", () => {
    if (document.activeElement !== field) field.value = editing.state?.style ?? "";
  });
  return element;
}
