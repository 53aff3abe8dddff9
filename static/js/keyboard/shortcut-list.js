// The list of keyboard shortcuts, over everything else.

import { button, h } from "../common/dom.js";

/** @type {HTMLDialogElement | null} */
let open = null;

/**
 * Opens the list, or closes it; `where` says where the keys work.
 * @param {{ keys: string, label: string }[]} shortcuts
 * @param {string} where
 */
export function toggleList(shortcuts, where) {
  if (open) return open.close();
  const rows = shortcuts.map(({ keys, label }) => [h("dt", {}, keys), h("dd", {}, label)]);
  const dialog = h(
    "dialog",
    { class: "sheet", "aria-label": "Keyboard shortcuts" },
    h("h2", {}, "Keyboard shortcuts"),
    h("p", { class: "quiet" }, where),
    h("dl", {}, rows.flat()),
    button("Close", () => void open?.close()),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    open = null;
  });
  open = dialog;
  document.body.append(dialog);
  dialog.showModal();
}
