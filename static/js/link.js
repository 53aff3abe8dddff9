// Tells Gradio's forms which project is shown, its film's values, and which of them changed.

import { on, start, view } from "./store.js";

const told = (number) => (number === null ? "" : String(number));

// As `shown` in views/forms.py.
function filmOf({ title, style, size, fps, seed, cast, settings }) {
  return {
    title,
    style,
    size: size.join("x"),
    fps: told(fps),
    seed: told(seed),
    cast: cast.map((member) => (member.look ? `${member.name}: ${member.look}` : member.name)).join("\n"),
    model: settings.model ?? "",
    steps: told(settings.steps),
    guidance: told(settings.guidance),
    top_k: told(settings.top_k),
    worth: settings.worth,
    looks: settings.looks,
  };
}

export function mount(tell) {
  let last = { project: "", revision: -1, film: {} };
  on("project", () => {
    if (!view.project || (view.project.id === last.project && view.project.revision === last.revision)) return;
    const film = filmOf(view.project);
    const before = view.project.id === last.project ? last.film : {};
    last = { project: view.project.id, revision: view.project.revision, film };
    const typed = (name) => document.getElementById(`form-${name}`)?.contains(document.activeElement);
    tell({ ...last, changed: Object.keys(film).filter((name) => film[name] !== before[name] && !typed(name)) });
  });
  start();
}
