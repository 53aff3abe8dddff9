// The menu of what a render needs: of this machine now, and under each profile.

import { h, icon } from "../common/dom.js";
import { counted, duration, memorySize, size } from "../common/format.js";
import { menuLine } from "../common/menu.js";
import { page } from "../common/state.js";

/** @param {RenderNeed} need */
export const needItems = (need) => [
  ...needWords(need).map(menuLine),
  menuLine(timeWords()),
  h("hr"),
  h(
    "ul",
    { class: "profiles" },
    need.profiles.map((profile) => profileItem(profile, need)),
  ),
  menuLine("Another profile is set when the studio is started: moc-studio serve --profile NAME"),
];

/** What the longest shot needs of this machine. @param {RenderNeed} need */
function needWords(need) {
  const gpu = need.device_total
    ? `${memorySize(need.device)} of ${memorySize(need.device_total)} on the GPU and `
    : "";
  const words = [
    `The longest shot needs ${gpu}${memorySize(need.host)} of ${memorySize(need.host_total)} of memory.`,
  ];
  if (!need.fits) words.push("That is more than there is: lower the size, or the memory of earlier shots.");
  if (need.remembered) {
    const moved = need.per_step ? `; each step moves ${memorySize(need.per_step)} to the GPU` : "";
    words.push(`Earlier shots take ${memorySize(need.remembered)} of it${moved}.`);
  }
  if (need.disk) words.push(`${size(need.disk)} of earlier shots lie in files, which is slower.`);
  return words;
}

/** How long the shots that are due will take. */
function timeWords() {
  const { due = 0, due_seconds = 0, time_known = false } = page.project ?? {};
  if (!time_known) return "How long it takes is told once this model has rendered a shot.";
  return due ? `Rendering ${counted(due, "shot")} takes about ${duration(due_seconds)}.` : "No shot is due.";
}

/**
 * @param {ProfileNeed} item
 * @param {RenderNeed} need
 */
function profileItem({ profile, does, device, host, fits }, need) {
  const chosen = profile === need.profile;
  const onGpu = device > 0;
  const needed = [
    onGpu && `${memorySize(device)} on the GPU`,
    host > 0 && `${memorySize(host)} of memory`,
  ].filter(Boolean);
  const fit = fits ? "fits" : onGpu && !need.device_total ? "needs a GPU" : "does not fit";
  return h(
    "li",
    { class: `profile ${chosen ? "is-chosen" : ""} ${fits ? "fits" : ""}` },
    h("strong", {}, onGpu ? profile : `${profile}: without a GPU`),
    chosen && h("span", { class: "profile-chosen" }, need.by_itself ? "chosen by auto" : "set at the start"),
    h("span", { class: "profile-fit" }, icon(fits ? "check" : "warn"), fit),
    h("span", { class: "profile-needed" }, needed.join(", ")),
    h("span", { class: "quiet" }, `${does[0].toUpperCase()}${does.slice(1)}.`),
  );
}
