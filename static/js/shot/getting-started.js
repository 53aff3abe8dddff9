// Hints for a first visit, shown until they are closed.

import { button, h } from "../common/dom.js";

const KEY = "hints";

/** The hints, or null where they were read. */
export function hints() {
  if (localStorage.getItem(KEY) === "read") return null;
  const close = () => {
    localStorage.setItem(KEY, "read");
    box.remove();
  };
  const box = h(
    "div",
    { class: "hints" },
    h("h4", {}, "New here?"),
    h(
      "ol",
      {},
      h("li", {}, "Press Space to play the film. Click a caption below to change it."),
      h("li", {}, "Render re-renders only the shots that the change affects; hover over a shot to read why."),
      h("li", {}, "Context shows how much a shot drew on each earlier shot. Pin or ban shots to steer it."),
    ),
    button("Got it", close),
  );
  return box;
}
