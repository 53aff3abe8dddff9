// Menus whose items are made each time they are opened.

import { fill, h, icon, part } from "./dom.js";
import { page, subscribe } from "./state.js";

/**
 * A menu; `items` gets what closes it.
 * @param {string} label
 * @param {{ class?: string, icon?: string }} options
 * @param {(close: () => void) => HTMLElement[] | Promise<HTMLElement[]>} items
 */
export function menu(label, options, items) {
  const body = h("div", { class: "menu-body", role: "menu" });
  const named = { title: label, "aria-label": options.icon ? label : null };
  const summary = h("summary", named, options.icon ? icon(options.icon) : h("span", {}, label));
  const element = h("details", { class: `menu ${options.class ?? ""}` }, summary, body);
  const close = () => {
    element.open = false;
  };
  let openings = 0;
  element.addEventListener("toggle", async () => {
    const opening = ++openings;
    if (!element.open) return;
    const made = await Promise.resolve(items(close)).catch((error) => [menuLine(error.message)]);
    if (opening === openings) fill(body, made);
  });
  element.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Escape") return;
    close();
    part(element, "summary").focus();
  });
  body.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-closes]")) close();
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !element.contains(target)) close();
  });
  let project = page.project?.id;
  subscribe("project", () => {
    if (project !== page.project?.id) close();
    project = page.project?.id;
  });
  return element;
}

/**
 * @param {string} label
 * @param {string | null} note
 */
const words = (label, note) => [h("span", {}, label), note && h("span", { class: "quiet" }, note)];

/**
 * @param {string} label
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {string | null} note
 */
export const menuItem = (label, onclick, note = null) =>
  h(
    "button",
    { type: "button", class: "menu-item", role: "menuitem", "data-closes": true, onclick },
    words(label, note),
  );

/**
 * An item for what cannot be undone: the first click asks, the second acts.
 * @param {string} label
 * @param {string} question
 * @param {() => unknown} act
 * @param {string | null} note
 */
export function menuItemForGood(label, question, act, note = null) {
  let asked = false;
  const click = (/** @type {MouseEvent} */ event) => {
    if (asked) {
      act();
      return;
    }
    asked = true;
    event.stopPropagation(); // the menu stays open
    fill(item, h("strong", {}, question));
  };
  const item = menuItem(label, click, note);
  return item;
}

/** @param {string} text */
export const menuLine = (text) => h("div", { class: "menu-line quiet" }, text);
