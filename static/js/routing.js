// The place of the routing inspector; what it shows is loaded when it is first looked at.

import { on, start, tell, view } from "./store.js";

export function mount(element) {
  let shown = null;
  new IntersectionObserver(async ([entry]) => {
    view.inspecting = entry.isIntersecting;
    document.body.classList.toggle("inspecting", view.inspecting);
    if (view.inspecting) {
      shown ??= import("./inspector.js").then((m) => m.mount(element));
      await shown;
    }
    tell("inspecting");
  }).observe(element);
  on("inspecting", () => {});
  start();
}
