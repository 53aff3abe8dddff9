// What somebody new should know; nothing of it is kept but that it was read.

import { button, h } from "./dom.js";

export function hints() {
  const box = h(
    "div",
    { class: "hints" },
    h("h4", {}, "New here?"),
    h(
      "ol",
      {},
      h("li", {}, "Space plays the film. Click a caption below to change it."),
      h("li", {}, "Render then makes anew only what the change matters to; point at a shot to read why."),
      h("li", {}, "Context says how much each shot drew from which earlier one. Pin or ban them."),
    ),
    button("Got it", () => (localStorage.setItem("hints", "read"), box.remove())),
  );
  return box;
}
