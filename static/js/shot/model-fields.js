// The fields of a shot that only some models can use: first frame, negative prompt and LoRAs.

import { get, takeFile } from "../common/api.js";
import { sendEdit } from "../common/commands.js";
import { button, h } from "../common/dom.js";
import { draftUse } from "../common/draft-use.js";
import { loraList } from "../common/lora-list.js";
import { choosePicture, PICTURE_TYPES, pictureUrl } from "../common/pictures.js";
import {
  chosenTake,
  notifyError,
  openProjectState,
  page,
  shotById,
  shotIndex,
  shots,
} from "../common/state.js";
import { editCaption } from "../timeline/captions.js";

const PICTURE = "picture";

/** @type {Set<string>} */
const opened = new Set(); // projects in which the fields are unfolded

/**
 * Nothing where the model can use none of them and none is set.
 * @param {Shot} shot
 * @returns {HTMLElement | false}
 */
export function modelFields(shot) {
  const project = openProjectState();
  const { lacks } = project;
  const guided = project.has_lanes && project.lane === "final";
  const fields = [
    (!lacks.first_frame || shot.first_frame) && firstFrame(shot, lacks.first_frame),
    (!lacks.negative_prompt || shot.negative_prompt !== null) && negativePrompt(shot, lacks.negative_prompt),
    (!lacks.loras || shot.loras.length > 0) && loras(shot, lacks),
    guided && guide(shot, lacks),
  ];
  if (!fields.some(Boolean)) return false;
  const isSet =
    shot.first_frame !== null ||
    shot.negative_prompt !== null ||
    shot.loras.length > 0 ||
    shot.guide_strength !== null ||
    shot.control_scale !== null;
  const details = h(
    "details",
    { class: "model-fields", open: isSet || opened.has(project.id) },
    h("summary", {}, ["First frame, negative prompt, LoRAs", guided && ", draft"]),
    fields,
  );
  details.addEventListener("toggle", () => {
    if (details.open) opened.add(project.id);
    else opened.delete(project.id);
  });
  return details;
}

/**
 * @param {string} label
 * @param {string | undefined} lack
 * @param {...import("../common/dom.js").Children} children
 */
const group = (label, lack, ...children) =>
  h(
    "div",
    { class: "field", role: "group", "aria-label": label },
    h("span", {}, label),
    ...children,
    lack && h("span", { class: "why-off" }, lack),
  );

/**
 * @param {Shot} shot
 * @param {string | undefined} lack
 */
function firstFrame(shot, lack) {
  const earlier = shots()
    .slice(0, shotIndex(shot.id))
    .flatMap((other, index) => (other.skip ? [] : [{ other, index }]));
  const isPicture = shot.first_frame?.startsWith("picture:") || shot.first_frame?.startsWith("file:");
  /** @type {[value: string, label: string][]} */
  const choices = [
    ["", "nothing: the caption alone"],
    ...(earlier.length || shot.first_frame === "previous"
      ? /** @type {[string, string][]} */ ([["previous", "last frame of the shot before"]])
      : []),
    ...earlier.map(
      ({ other, index }) =>
        /** @type {[string, string]} */ ([`shot:${other.id}`, `last frame of shot ${index + 1}`]),
    ),
    [PICTURE, isPicture ? "a picture" : "a picture…"],
  ];
  const value = isPicture ? PICTURE : (shot.first_frame ?? "");
  if (!choices.some(([name]) => name === value)) choices.push([value, "a shot that is not earlier"]);
  const select = h(
    "select",
    { "aria-label": "Starts with", disabled: Boolean(lack) && !shot.first_frame },
    choices.map(([name, words]) => h("option", { value: name, selected: name === value }, words)),
  );
  const file = h("input", { type: "file", accept: PICTURE_TYPES, hidden: true });
  select.addEventListener("change", () => {
    if (select.value !== PICTURE) setFirstFrame(shot.id, select.value || null);
    else file.click();
  });
  file.addEventListener("cancel", () => {
    select.value = value;
  });
  choosePicture(file, (first_frame) => setFirstFrame(shot.id, first_frame));
  const dormant = shot.first_frame !== null && !isPicture && shot.first_frame_at === null;
  return group(
    "Starts with",
    lack,
    select,
    file,
    picture(shot),
    isPicture && button("Another picture…", () => file.click(), { disabled: Boolean(lack) }),
    dormant &&
      h("span", { class: "why-off" }, "No effect: that shot is skipped, deleted, or no longer earlier."),
    shot.first_frame &&
      openProjectState().missing_pictures[shot.first_frame] &&
      h("span", { class: "why-off" }, "The picture is not there: choose it again."),
  );
}

/** The frame or picture that a shot starts with, if it is there. @param {Shot} shot */
function picture(shot) {
  const project = openProjectState().id;
  const src = pictureUrl(project, shot.first_frame);
  if (src) return h("img", { class: "first-frame", alt: "First frame", src });
  const source = shot.first_frame_at === null ? null : shots()[shot.first_frame_at];
  const take = source && chosenTake(source);
  if (!source || !take) return false;
  const first = Math.min(Math.round(source.trim * take.fps), take.frames - 1);
  const last = Math.min(first + Math.max(1, Math.round(source.seconds * take.fps)), take.frames) - 1;
  return h("img", {
    class: "first-frame",
    alt: "First frame",
    src: takeFile(project, take.id, `frames/${last}`),
  });
}

/**
 * @param {string} shot
 * @param {string | null} first_frame
 */
const setFirstFrame = (shot, first_frame) =>
  sendEdit(() => shotById(shot) && { op: "first_frame", shot, first_frame });

/**
 * Empty it is the film's; the box below says that there is none instead.
 * @param {Shot} shot
 * @param {string | undefined} lack
 */
function negativePrompt(shot, lack) {
  const none = shot.negative_prompt === "";
  const input = h("textarea", {
    rows: 2,
    value: shot.negative_prompt ?? "",
    placeholder: none ? "none" : filmsNegativePrompt(),
    "aria-label": "Negative prompt",
    disabled: none || (Boolean(lack) && shot.negative_prompt === null),
  });
  const set = (/** @type {string | null} */ negative_prompt) =>
    sendEdit(() => shotById(shot.id) && { op: "negative_prompt", shot: shot.id, negative_prompt });
  input.addEventListener("change", () => set(input.value.trim() || null));
  const box = h("input", { type: "checkbox", checked: none, disabled: Boolean(lack) && !none });
  box.addEventListener("change", () => set(box.checked ? "" : null));
  return group("Negative prompt", lack, input, h("label", { class: "check" }, box, "No negative prompt"));
}

/** The negative prompt of shots without one of their own, and whose it is. */
function filmsNegativePrompt() {
  const { settings, defaults } = openProjectState();
  if (settings.negative_prompt !== null) return `the film's: ${settings.negative_prompt || "none"}`;
  return defaults.negative_prompt ? `the model's: ${defaults.negative_prompt}` : "the model's";
}

/** @param {string} shot */
async function suggestLooks(shot) {
  const project = openProjectState().id;
  try {
    const { caption } = await get(`/projects/${project}/shots/${shot}/caption-with-looks`);
    if (page.project?.id === project) await editCaption(shot, caption);
  } catch (error) {
    notifyError(error);
  }
}

/**
 * How the final is made from its draft.
 * @param {Shot} shot
 * @param {Record<string, string>} lacks
 */
function guide(shot, lacks) {
  const { settings } = openProjectState();
  return h(
    "div",
    { class: "field" },
    draftUse(shot, (use) => shotById(shot.id) && { op: "guide", shot: shot.id, ...use }, lacks, settings),
    !shot.other_take && h("span", { class: "why-off" }, "No effect: this shot has no draft."),
    shot.other_take &&
      settings.draft_model === null &&
      button("Add the draft's looks to the caption", () => suggestLooks(shot.id), {
        title: "Opens the caption with the shape, colour and place that the draft shows, to be edited",
      }),
  );
}

/**
 * @param {Shot} shot
 * @param {Record<string, string>} lacks
 */
function loras(shot, lacks) {
  const edit = (/** @type {(loras: Lora[]) => Lora[]} */ change) => {
    const now = shotById(shot.id);
    return now && { op: "loras", shot: shot.id, loras: change(now.loras) };
  };
  const film = openProjectState().settings.loras.length;
  return group(
    film ? `LoRAs, besides the film's ${film}` : "LoRAs",
    lacks.loras,
    loraList(shot.loras, edit, !lacks.guidance_2),
  );
}
