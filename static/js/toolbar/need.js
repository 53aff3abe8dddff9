// What a render needs of this machine, beside the button that starts it.

import { get } from "../common/api.js";
import { h } from "../common/dom.js";
import { size } from "../common/format.js";
import { isOpen } from "../common/state.js";

/** What the longest shot needs of this machine. @param {RenderNeed} need */
export function needWords(need) {
  const gpu = need.device_total
    ? `${size(need.device)} of ${size(need.device_total)} on the GPU (profile ${need.profile}) and `
    : "";
  const words = [`Needs ${gpu}${size(need.host)} of ${size(need.host_total)} of memory.`];
  if (!need.fits) words.push("That is more than there is: lower the size, or the memory of earlier shots.");
  if (need.remembered) {
    const moved = need.per_step ? `; each step moves ${size(need.per_step)} to the GPU` : "";
    words.push(`Earlier shots take ${size(need.remembered)} of it${moved}.`);
  }
  return words;
}

/** The memory that is scarcer, in a few words. @param {RenderNeed} need */
function shortWords({ device, device_total, host, host_total, fits }) {
  const onGpu = device_total > 0 && device / device_total >= host / host_total;
  const words = onGpu
    ? `${size(device)} of ${size(device_total)} on the GPU`
    : `${size(host)} of ${size(host_total)} of memory`;
  return fits ? `needs ${words}` : `does not fit: needs ${words}`;
}

/**
 * A line for models whose need is predicted; hidden for others, such as the embedded one, which fits every
 * machine. It is asked for again where something of the film that decides it has changed.
 */
export function renderNeed() {
  const element = h("span", { class: "render-need", hidden: true });
  let asked = "";
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
    element.hidden = need === null;
    if (need === null) return;
    element.textContent = shortWords(need);
    element.title = needWords(need).join("\n");
    element.classList.toggle("alert", !need.fits);
  }
  return { element, update };
}
