// Marks shots in which a look differs from what it should be; asked for once the project has not changed for a
// while. Afterwards plotly.js is loaded, while nobody does anything.

import { get } from "../common/api.js";
import { focusedField } from "../common/dom.js";
import { plotly } from "../common/figures.js";
import { page, publish, shots, subscribe } from "../common/state.js";

const SETTLED = 800; // ms
const RETRY = 1000; // ms

let asked = "";
let timer = 0;
let loaded = false;

subscribe("project", () => {
  clearTimeout(timer);
  timer = setTimeout(readDrifts, SETTLED);
});

async function readDrifts() {
  const { id, stamp } = page.project ?? {};
  const key = `${id} ${stamp}`;
  if (!id || key === asked) return;
  if (!document.hasFocus()) return window.addEventListener("focus", readDrifts, { once: true });
  asked = key;
  const found = await get(`/projects/${id}/consistency`).catch(() => null);
  if (!found || page.project?.id !== id || page.project.stamp !== stamp) return;
  page.drifts = new Map();
  for (const drift of found.drifted) {
    page.drifts.set(drift.shot, [...(page.drifts.get(drift.shot) ?? []), drift]);
  }
  publish("timeline");
  if (!loaded && shots().some((shot) => shot.take)) {
    loaded = true;
    loadPlotlyWhenIdle();
  }
}

function loadPlotlyWhenIdle() {
  if (page.playing || !document.hasFocus() || focusedField()) setTimeout(loadPlotlyWhenIdle, RETRY);
  else requestIdleCallback(() => plotly().catch(() => {}));
}
