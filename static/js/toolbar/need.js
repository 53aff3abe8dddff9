// What a render needs of this machine, beside the button that starts it; a click shows it by profile.

import { get } from "../common/api.js";
import { part } from "../common/dom.js";
import { memorySize } from "../common/format.js";
import { menu } from "../common/menu.js";
import { isOpen } from "../common/state.js";

/** The memory that is scarcer, in a few words. @param {RenderNeed} need */
function shortWords({ device, device_total, host, host_total, fits }) {
  const onGpu = device_total > 0 && device / device_total >= host / host_total;
  const words = onGpu
    ? `${memorySize(device)} of ${memorySize(device_total)} on the GPU`
    : `${memorySize(host)} of ${memorySize(host_total)} of memory`;
  return fits ? `needs ${words}` : `does not fit: needs ${words}`;
}

/**
 * A menu for models whose need is predicted; hidden for others, such as the embedded one, which fits every
 * machine. It is asked for again where something of the film that decides it has changed.
 */
export function renderNeed() {
  let asked = "";
  /** @type {RenderNeed | null} */
  let shown = null;
  const element = menu("Memory that a render needs", { class: "render-need" }, async () =>
    shown ? (await import("./need-menu.js")).needItems(shown) : [],
  );
  element.hidden = true;
  /** @param {ProjectState} project */
  async function update({ id, size: picture, settings, lane, shots }) {
    const lengths = shots.map((shot) => [shot.seconds, shot.trim, shot.skip, shot.take]);
    const key = JSON.stringify([id, picture, settings, lane, lengths]);
    if (key === asked) return;
    asked = key;
    const model = lane === "draft" ? settings.draft_model : settings.model;
    /** @type {RenderNeed | null} */
    const need = model === null ? null : await get(`/projects/${id}/need`).catch(() => null);
    if (asked !== key || !isOpen(id)) return;
    shown = need;
    element.hidden = need === null;
    if (need === null) return;
    part(element, "summary span").textContent = shortWords(need);
    element.classList.toggle("alert", !need.fits);
  }
  return { element, update };
}
