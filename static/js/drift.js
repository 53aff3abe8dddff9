// Marks shots in which somebody looks different from what they should. Asked for anew once things have settled.

import { get } from "./api.js";
import { typedIn } from "./dom.js";
import { on, tell, view } from "./store.js";

const SETTLED = 800; // ms
const QUIET = 1000;

let asked = "";
let timer = 0;
let prepared = false; // the plots

on("project", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, SETTLED);
});

async function ask() {
  const { id, stamp } = view.project ?? {};
  const key = `${id} ${stamp}`;
  if (!id || key === asked) return;
  if (!document.hasFocus()) return window.addEventListener("focus", ask, { once: true }); // nobody is looking for it
  asked = key;
  const found = await get(`/projects/${id}/consistency`).catch(() => null);
  if (!found || asked !== key || view.project.id !== id || view.project.stamp !== stamp) return;
  view.drifted = new Map();
  for (const item of found.drifted) view.drifted.set(item.shot, [...(view.drifted.get(item.shot) ?? []), item]);
  tell("timeline");
  if (!prepared && view.project.shots.some((shot) => shot.take)) ((prepared = true), whenQuiet());
}

// plotly.js takes most of a second to start: where there is something to plot, while nobody does anything.
function whenQuiet() {
  if (view.playing || !document.hasFocus() || typedIn()) setTimeout(whenQuiet, QUIET);
  else requestIdleCallback(async () => (await import("./plot.js")).plotly().catch(() => {}));
}
