// Messages that appear for a few seconds.

import { button, h } from "../common/dom.js";

const SHOWN = { info: 4000, error: 12000 }; // ms
const MOST = 4;

export function notices() {
  const list = h("div", { class: "notices", role: "status", "aria-live": "polite" });
  window.addEventListener("studio:notice", (event) => {
    const { message, kind } = /** @type {CustomEvent<{ message: string, kind: "info" | "error" }>} */ (event)
      .detail;
    const close = button("Close", () => notice.remove(), { text: false, icon: "close" });
    const notice = h("div", { class: `notice ${kind}` }, h("span", {}, message), close);
    list.append(notice);
    setTimeout(() => notice.remove(), SHOWN[kind]);
    while (list.children.length > MOST) list.firstElementChild?.remove();
  });
  return list;
}
