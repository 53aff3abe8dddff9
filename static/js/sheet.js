// The list of keys, over everything else.

import { button, h } from "./dom.js";

let open = null;

export function toggle(keys) {
  if (open) return open.close();
  open = h(
    "dialog",
    { class: "sheet", onclose: () => (open.remove(), (open = null)) },
    h("h2", {}, "Keyboard"),
    h("p", { class: "quiet" }, "While the timeline has focus, never inside a text field."),
    h("dl", {}, keys.flatMap(([keys, words]) => [h("dt", {}, keys), h("dd", {}, words)])),
    button("Close", () => open.close()),
  );
  document.body.append(open);
  open.showModal();
}
