// Tells Gradio's forms which project is shown, and at which revision, so that they show it too.

import { on, start, view } from "./store.js";

export function mount(tell) {
  let told = "";
  on("project", () => {
    const now = view.project && { project: view.project.id, revision: view.project.revision };
    if (!now || JSON.stringify(now) === told) return;
    told = JSON.stringify(now);
    tell(now);
  });
  start();
}
