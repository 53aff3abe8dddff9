// The keyboard, loaded with the first key that is pressed (see keys.js).

import { on } from "./store.js";

let loading = null;
let asked = false;

const keys = () => (loading ??= import("./keys.js"));

window.addEventListener("keydown", async (event) => (await keys()).pressed(event));
on("help", async () => {
  if (asked) (await keys()).sheet();
  asked = true;
});
