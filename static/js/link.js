// Tells Gradio's forms which project is shown, its film's values, and which of them changed; and says below them
// which words of theirs the model does not know.

import { unknownWords } from "./dom.js";
import { on, start, view } from "./store.js";

const told = (number) => (number === null ? "" : String(number));

// As `shown` in views/forms.py.
function filmOf({ title, style, size, fps, seed, cast, settings }) {
  return {
    title,
    style,
    size: size.join("x"),
    fps: told(Math.round(fps * 1000) / 1000),
    seed: told(seed),
    cast: cast.map((member) => (member.look ? `${member.name}: ${member.look}` : member.name)).join("\n"),
    model: settings.model ?? "",
    steps: told(settings.steps),
    guidance: told(settings.guidance),
    top_k: told(settings.top_k),
    rerender_threshold: settings.rerender_threshold,
    looks: settings.looks,
  };
}

function tellUnknown() {
  const { style, style_unknown, cast } = view.project ?? { cast: [] };
  const texts = { style: style ? [[style, style_unknown]] : [], cast: cast.map((member) => [member.look ?? "", member.unknown]) };
  for (const [name, found] of Object.entries(texts)) {
    const field = document.getElementById(`form-${name}`);
    field?.querySelector(".unknown-words")?.remove();
    field?.append(unknownWords(found) ?? "");
  }
}

export function mount(tell) {
  let last = { project: "", revision: -1, film: {} };
  on("project", () => {
    tellUnknown();
    if (!view.project || (view.project.id === last.project && view.project.revision === last.revision)) return;
    const film = filmOf(view.project);
    const before = view.project.id === last.project ? last.film : {};
    last = { project: view.project.id, revision: view.project.revision, film };
    const typed = (name) => document.getElementById(`form-${name}`)?.contains(document.activeElement);
    tell({ ...last, changed: Object.keys(film).filter((name) => film[name] !== before[name] && !typed(name)) });
  });
  start();
}
