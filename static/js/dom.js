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

export const present = (children) => children.flat(2).filter((child) => child !== null && child !== undefined && child !== false && child !== "");

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  draw(svg, name);
  return svg;
}

// Lets an icon, or what holds one, show another picture of icons.svg.
export function draw(holder, name) {
  (holder.querySelector?.("use") ?? holder).setAttribute("href", `/studio-assets/icons.svg#${name}`);
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
    const title = `The model does not know this word${span.suggestion ? `; did you mean “${span.suggestion}”?` : ""}`;
    parts.push(h("span", { class: "unknown", title }, letters.slice(span.start, span.stop).join("")));
    at = span.stop;
  }
  parts.push(letters.slice(at).join(""));
  return parts;
}

// A sentence that names them, or null where there are none.
export function unknownWords(texts) {
  const words = texts.flatMap(([text, spans]) => spans.map((span) => [[...text].slice(span.start, span.stop).join(""), span.suggestion]));
  if (!words.length) return null;
  const named = words.flatMap(([word, suggestion], index) => [index ? ", " : "", h("strong", {}, word), suggestion ? ` (did you mean ${suggestion}?)` : ""]);
  return h("p", { class: "unknown-words" }, "The model does not know ", present(named), ` and leaves ${words.length > 1 ? "them" : "it"} out.`);
}

// Minutes and seconds; with `fps` as timecode, hours to frames.
export function clock(seconds, fps = null) {
  const whole = Math.floor(Math.max(0, seconds) + 1e-6);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (!fps) return `${minutes}:${two(whole % 60)}`;
  const frame = Math.max(0, Math.floor((seconds - whole) * fps + 1e-3));
  return [Math.floor(minutes / 60), minutes % 60, whole % 60, frame].map(two).join(":");
}

export function duration(seconds) {
  if (seconds < 1) return "< 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

// The field in which somebody types, if any.
export const typedIn = () => (document.activeElement?.matches("input, textarea, [contenteditable]") ? document.activeElement : null);

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
