// The menu that saves figures as pictures, and traces as files.

import { download } from "../common/download.js";

import { saveFigure } from "../common/figures.js";
import { menu, menuItem } from "../common/menu.js";
import { notifyError, openProjectState, selectedShot, shotIndex } from "../common/state.js";
import { selection } from "./selection.js";

const TABLES = ["csv", "npz", "parquet"];

/** @param {HTMLElement} body holds the figures */
export function saveMenu(body) {
  return menu("Save", { class: "right" }, () => {
    const { id, title } = openProjectState();
    const shot = selectedShot();
    const number = shotIndex(shot?.id) + 1;
    const base = `/api/projects/${id}`;
    const file = (/** @type {string} */ label, /** @type {string} */ href) =>
      menuItem(label, () => download(href).catch(notifyError));
    const plots = /** @type {HTMLElement[]} */ ([...body.querySelectorAll(".plot.js-plotly-plot")]);
    const film = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
    const ofShot = selection.view === "shot" || selection.view === "heads";
    const name = (/** @type {HTMLElement} */ plot) =>
      [film, ofShot && `shot-${number}`, plot.dataset.name].filter(Boolean).join("-");
    const save = async () => {
      for (const plot of plots) await saveFigure(plot, name(plot));
    };
    const items = plots.length
      ? [menuItem(plots.length > 1 ? `Pictures (${plots.length} PNG)` : "Picture (PNG)", save)]
      : [];
    if (!shot?.take) return [...items, file("Report (HTML)", `${base}/routing.html`)];
    const tables = TABLES.map((kind) =>
      file(
        `Trace of shot ${number} (${kind.toUpperCase()})`,
        `${base}/takes/${shot.take}/routing/table.${kind}`,
      ),
    );
    return [
      ...items,
      file(`Report with shot ${number} (HTML)`, `${base}/routing.html?take=${shot.take}`),
      ...tables,
    ];
  });
}
