// The page of footage: the list of videos, or one of them as a filmstrip (#ID).

import { fill, h, part } from "../common/dom.js";
import { notices } from "../toolbar/notices.js";
import { openEditor } from "./editor.js";
import { openList } from "./list.js";

const root = part(document, "#footage");
const view = h("div", { class: "footage-view" });
let close = () => {};

/** Shows what the address names. */
function show() {
  close();
  const id = location.hash.slice(1);
  const isOne = /^[0-9a-f]{16}$/.test(id);
  const element = h("div", { class: isOne ? "footage-editor" : "footage-list" });
  fill(view, element);
  close = isOne ? openEditor(element, id) : openList(element);
}

fill(root, view, notices());
window.addEventListener("hashchange", show);
show();
