// The keyboard; the shortcuts are loaded with the first key (shortcuts.js).

import { subscribe } from "../common/state.js";

/** @type {Promise<typeof import("./shortcuts.js")> | null} */
let loading = null;
let subscribed = false;

function shortcuts() {
  loading ??= import("./shortcuts.js");
  return loading;
}

window.addEventListener("keydown", async (event) => (await shortcuts()).pressKey(event));
subscribe("help", async () => {
  if (subscribed) (await shortcuts()).toggleHelp();
  subscribed = true;
});
