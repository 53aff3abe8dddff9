// Elements without templates: text only ever enters as text.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

export const present = (children) => children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== "");

const SHAPES = {
  undo: "M9 7H15a5 5 0 0 1 0 10H8M9 7l3-3M9 7l3 3",
  redo: "M15 7H9a5 5 0 0 0 0 10h7M15 7l-3-3M15 7l-3 3",
  play: "M8 5v14l11-7z",
  pause: "M8 5v14M16 5v14",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  skip: "M4 12s3-6 8-6 8 6 8 6-3 6-8 6-8-6-8-6M4 4l16 16",
  add: "M12 5v14M5 12h14",
  remove: "M6 7h12M10 7V5h4v2M8 7l1 12h6l1-12",
  split: "M12 4v16M8 8l-4 4 4 4M16 8l4 4-4 4",
  copy: "M8 8h11v11H8zM5 16V5h11",
  dice: "M5 5h14v14H5zM9 9h.01M15 15h.01M15 9h.01M9 15h.01",
  check: "M5 13l4 4L19 7",
  warn: "M12 4l9 16H3zM12 10v4M12 17h.01",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l3 2",
  dots: "M6 12h.01M12 12h.01M18 12h.01",
  full: "M5 9V5h4M15 5h4v4M19 15v4h-4M9 19H5v-4",
  loop: "M6 9h10a3 3 0 0 1 0 8H8M6 9l3-3M6 9l3 3",
  captions: "M4 6h16v12H4zM8 12h3M8 15h6",
  close: "M6 6l12 12M18 6L6 18",
  cross: "M7 7l10 10M17 7L7 17",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17h.01",
  up: "M12 19V5M6 11l6-6 6 6",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

export function button(label, onclick, { shape = null, text = true, ...props } = {}) {
  const name = text ? {} : { "aria-label": label, title: props.title ?? label };
  return h(
    "button",
    { type: "button", onclick, ...name, ...props, class: `button ${text ? "" : "bare"} ${props.class ?? ""}` },
    shape && icon(shape),
    text && h("span", {}, label),
  );
}

// A text with its unknown words underlined; spans are {start, stop, suggestion}.
export function underlined(text, spans) {
  const letters = [...text];
  const parts = [];
  let at = 0;
  for (const span of spans) {
    parts.push(letters.slice(at, span.start).join(""));
    const hint = span.suggestion
      ? `The model does not know this word. Did you mean “${span.suggestion}”?`
      : "The model does not know this word and will not read it.";
    parts.push(h("span", { class: "unknown", title: hint }, letters.slice(span.start, span.stop).join("")));
    at = span.stop;
  }
  parts.push(letters.slice(at).join(""));
  return parts;
}

export function clock(seconds, fps = null) {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  const rest = whole - minutes * 60;
  const second = String(Math.floor(rest + 1e-6)).padStart(2, "0");
  const frame = fps ? `:${String(Math.floor((rest - Math.floor(rest + 1e-6)) * fps + 1e-3)).padStart(2, "0")}` : "";
  return `${minutes}:${second}${frame}`;
}

export function duration(seconds) {
  if (seconds < 1) return "< 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export const percent = (share) => (share >= 0.005 ? `${Math.round(share * 100)}%` : "< 1%");

// Redraws a list in place: elements are kept by key, so that focus and pictures stay.
export function reconcile(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    if (!element) {
      element = make(item);
      element.dataset.key = name;
    }
    old.delete(name);
    update(element, item);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  for (const element of old.values()) element.remove();
}
