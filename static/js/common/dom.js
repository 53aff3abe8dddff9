// Elements made without templates: text is only ever inserted as text.

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Child | Child[] | (Child | Child[])[]} Children
 */

/**
 * An element with properties, attributes (`aria-…`, `role`), listeners (`onclick`) and children. What is null or
 * false is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} props
 * @param {...Children} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && !name.startsWith("aria")) Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

/**
 * The children without what is null, false or empty.
 * @param {Children[]} children
 * @returns {(Node | string)[]}
 */
function flat(children) {
  const all = /** @type {Child[]} */ (children.flat(3));
  const kept = all.filter(
    (child) => child !== null && child !== undefined && child !== false && child !== "",
  );
  return kept.map((child) =>
    typeof child === "number" ? String(child) : /** @type {Node | string} */ (child),
  );
}

/**
 * Replaces what an element holds.
 * @param {Element} element
 * @param {...Children} children
 */
export const fill = (element, ...children) => element.replaceChildren(...flat(children));

/**
 * Draws a panel again. Fields that show an error stay as they are, as long as the panel is about the same thing.
 * @param {HTMLElement} panel
 * @param {string} subject
 * @param {...Children} children
 */
export function redraw(panel, subject, ...children) {
  const refused = /** @type {NodeListOf<HTMLElement>} */ (
    panel.querySelectorAll("[data-field]:has(> .field-error:not(:empty))")
  );
  fill(panel, ...children);
  for (const field of panel.dataset.subject === subject ? refused : [])
    panel.querySelector(`[data-field="${field.dataset.field}"]`)?.replaceWith(field);
  panel.dataset.subject = subject;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** A picture of icons.svg. @param {string} name */
export function icon(name) {
  const element = svg("svg", { class: `icon icon-${name}`, "aria-hidden": "true" });
  element.append(svg("use"));
  setIcon(element, name);
  return element;
}

/**
 * Lets an icon, or a button that has one, show another picture.
 * @param {Element} element
 * @param {string} name
 */
export function setIcon(element, name) {
  element.querySelector("use")?.setAttribute("href", `/studio-assets/icons.svg#${name}`);
}

/**
 * A button with a text, an icon or both; without `text` the label is its tooltip.
 * @param {string} label
 * @param {() => unknown} onclick
 * @param {{ icon?: string, text?: boolean, class?: string, title?: string, [name: string]: unknown }} options
 */
export function button(label, onclick, { icon: picture, text = true, ...props } = {}) {
  const name = text ? {} : { "aria-label": label, title: props.title ?? label };
  return h(
    "button",
    {
      type: "button",
      onclick,
      ...name,
      ...props,
      class: `button ${text ? "" : "bare"} ${props.class ?? ""}`,
    },
    picture && icon(picture),
    text && h("span", {}, label),
  );
}

/**
 * The part of an element that a selector names; it has to be there.
 * @param {ParentNode} element
 * @param {string} selector
 */
export function part(element, selector) {
  const found = element.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`There is no ${selector}.`);
  return found;
}

/** The text field that has the focus, if any. @returns {HTMLElement | null} */
export function focusedField() {
  const field = document.activeElement;
  return field instanceof HTMLElement && field.matches("input, textarea, [contenteditable]") ? field : null;
}

/** The style that lays an element over a part of a picture. @param {Box} box */
export const boxStyle = ([left, top, right, bottom]) => ({
  left: `${100 * left}%`,
  top: `${100 * top}%`,
  width: `${100 * (right - left)}%`,
  height: `${100 * (bottom - top)}%`,
});

/**
 * Updates a list in place: elements are kept by key, so that focus and pictures stay.
 * @template Item
 * @param {HTMLElement} parent
 * @param {Item[]} items
 * @param {(item: Item) => string | number} key
 * @param {(item: Item) => HTMLElement} make
 * @param {(element: HTMLElement, item: Item) => void} update
 */
export function updateList(parent, items, key, make, update) {
  const children = /** @type {HTMLElement[]} */ ([...parent.children]);
  const old = new Map(children.map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const element = old.get(name) ?? make(item);
    element.dataset.key = name;
    old.delete(name);
    update(element, item);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  for (const element of old.values()) element.remove();
}
