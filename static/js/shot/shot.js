// The panel of the selected shot: caption, status, fields, and the earlier shots that it draws on.

import { renderShots, renderVariations, sendEdit } from "../common/commands.js";
import { button, fill, h, redraw } from "../common/dom.js";
import { percent } from "../common/format.js";
import { numberField } from "../common/number-field.js";
import { start } from "../common/project.js";
import {
  chosenTake,
  failedJob,
  openProjectState,
  page,
  selectedShot,
  shotById,
  shotIndex,
  shots,
  subscribe,
} from "../common/state.js";
import { isSteered, KINDS, STEERINGS, steeredParts, toggledSteering } from "../common/steering.js";
import { unknownWords } from "../common/unknown-words.js";
import { editCaption } from "../timeline/captions.js";
import { statusOf, statusWords } from "../timeline/status.js";

const VARIATIONS = [2, 3, 4, 6, 8];
let variations = 4;

/** @type {typeof import("./model-fields.js") | undefined} */
let fieldsOfModels; // loaded when a model can use them

/** @param {HTMLElement} element */
export function mount(element) {
  const panel = h("div", { class: "panel shot-panel" });
  fill(element, panel);
  import("./getting-started.js").then((module) => element.append(module.hints() ?? ""));
  let drawn = "";
  const draw = () => {
    const shot = selectedShot();
    const key = JSON.stringify([
      page.project?.id,
      shot,
      page.selected,
      page.project?.due,
      page.project?.lacks,
      page.project?.settings.loras,
      page.project?.settings.negative_prompt,
      page.project?.settings.guide_strength,
      page.project?.settings.control_scale,
      page.project?.lane,
      shots().map((other) => [other.take, other.trim, other.seconds, other.skip]),
      shot && statusOf(shot),
      shot && failedJob(shot.id)?.error,
    ]);
    const focused = panel.contains(document.activeElement) ? document.activeElement : null;
    const typing = focused?.matches("textarea, input:not([type=checkbox])");
    if (key === drawn || typing) return; // a field is drawn once it is left
    drawn = key;
    const controls = () => [...panel.querySelectorAll("button, input, select, textarea, summary")];
    const index = focused ? controls().indexOf(focused) : -1;
    redraw(
      panel,
      shot?.id ?? "",
      shot ? shotParts(shot) : h("p", { class: "quiet" }, "Select a shot on the timeline."),
    );
    const control = controls()[index];
    if (control instanceof HTMLElement) control.focus();
  };
  panel.addEventListener("focusout", () => setTimeout(draw));
  subscribe("project selection queue", draw);
  start();
}

/** @param {Shot} shot */
function shotParts(shot) {
  const number = shotIndex(shot.id) + 1;
  const count = page.selected.length;
  const status = statusOf(shot);
  return [
    h("h3", {}, count > 1 ? `${count} shots selected · shot ${number}` : `Shot ${number}`),
    h(
      "button",
      {
        type: "button",
        class: "caption-line",
        onclick: () => editCaption(shot.id),
        title: "Edit the caption (E)",
      },
      shot.caption || h("span", { class: "quiet" }, "Describe what happens…"),
    ),
    h("p", { class: `shot-status is-${status}` }, h("strong", {}, statusWords(shot))),
    status === "outdated" &&
      h("p", { class: "quiet" }, "The change hardly affects this shot: rendering it again is optional."),
    unknownWords([[shot.caption, shot.unknown]]),
    shot.reasons.length > 0 &&
      shot.take !== null &&
      h(
        "ul",
        { class: "reasons" },
        shot.reasons.map((reason) => h("li", {}, reason)),
      ),
    renderButtons(shot),
    h("div", { class: "fields" }, fields(shot)),
    modelFields(shot),
    editButtons(shot),
    contextSection(shot),
  ];
}

/** @param {Shot} shot */
function modelFields(shot) {
  const { lacks, has_lanes } = openProjectState();
  const lacked = ["first_frame", "negative_prompt", "loras"].every((name) => lacks[name]);
  const isSet = shot.first_frame !== null || shot.negative_prompt !== null || shot.loras.length > 0;
  if (lacked && !isSet && !has_lanes) return false;
  if (fieldsOfModels) return fieldsOfModels.modelFields(shot);
  const place = h("div");
  import("./model-fields.js").then((module) => {
    fieldsOfModels = module;
    place.replaceWith(module.modelFields(shot) || "");
  });
  return place;
}

/** @param {Shot} shot */
function renderButtons(shot) {
  const disabled = shot.lock || shot.skip || !shot.caption;
  const count = h(
    "select",
    { "aria-label": "Number of variations", disabled },
    VARIATIONS.map((number) => h("option", { value: number, selected: number === variations }, `${number}`)),
  );
  count.addEventListener("change", () => {
    variations = Number(count.value);
  });
  return h(
    "div",
    { class: "row" },
    button(shot.take ? "Render again" : "Render", () => renderShots({ shots: page.selected }), {
      class: "primary",
      disabled,
      title: "Render the selected shots (R)",
    }),
    button("New seed", () => renderVariations(shot.id, 1), {
      icon: "dice",
      disabled,
      title: "Render another take with a new seed and the same context",
    }),
    h(
      "span",
      { class: "split-button" },
      count,
      button("variations", () => renderVariations(shot.id, variations), {
        disabled,
        title: "Render so many takes with new seeds and the same context, to choose from",
      }),
    ),
  );
}

/** @param {Shot} shot */
function fields(shot) {
  const trim = (/** @type {{ trim?: number, seconds?: number }} */ times) => {
    const now = shotById(shot.id);
    return now && { op: "trim", shot: shot.id, trim: now.trim, seconds: now.seconds, ...times };
  };
  return [
    numberField("Length", "s", shot.seconds, (seconds) => trim({ seconds: Number(seconds) })),
    numberField("In point", "s", shot.trim, (start) => trim({ trim: Number(start) })),
    numberField("Seed", "", shot.seed, (seed) => ({ op: "seed", shot: shot.id, seed }), "the film's"),
  ];
}

/** @param {Shot} shot */
function editButtons(shot) {
  const flag = (
    /** @type {"lock" | "skip"} */ op,
    /** @type {string} */ label,
    /** @type {string} */ title,
  ) =>
    button(label, () => sendEdit({ op, shots: page.selected, on: !shot[op] }), {
      icon: op,
      title,
      "aria-pressed": String(shot[op]),
    });
  return h(
    "div",
    { class: "row" },
    flag("lock", "Lock", "Keep the take as it is: the shot is not rendered again (Shift+L)"),
    flag("skip", "Skip", "Leave the shot out of the film and out of other shots' context (M)"),
    button("Duplicate", () => sendEdit({ op: "duplicate", shots: page.selected }), {
      icon: "copy",
      title: "Duplicate the selected shots (D)",
    }),
    button("Delete", () => sendEdit({ op: "delete", shots: page.selected }), {
      icon: "remove",
      title: "Delete the selected shots; undo brings them back (Delete)",
    }),
  );
}

/** Every earlier shot with its share of the context, and how it is steered. @param {Shot} shot */
function contextSection(shot) {
  const earlier = shots().slice(0, shotIndex(shot.id));
  const shares = new Map(chosenTake(shot)?.context ?? []);
  const toggle = (/** @type {Steering} */ kind, /** @type {string} */ target) =>
    sendEdit(() => {
      const now = shotById(shot.id);
      return now && toggledSteering(now, kind, target);
    });
  const row = (/** @type {Shot} */ other, /** @type {number} */ index) => {
    const share = shares.get(index);
    return h(
      "div",
      { class: `context-row ${other.skip ? "skip" : ""}` },
      h(
        "span",
        { class: "context-name", title: other.caption },
        `${index + 1}  ${other.caption || "no caption"}`,
      ),
      h(
        "span",
        { class: "share", title: "Share of what this shot drew from earlier shots" },
        share === undefined ? "" : percent(share),
      ),
      STEERINGS.map((kind) =>
        button(`${KINDS[kind].word} shot ${index + 1}`, () => toggle(kind, other.id), {
          text: false,
          icon: KINDS[kind].icon,
          "aria-pressed": String(isSteered(shot, kind, other.id)),
        }),
      ),
    );
  };
  const dormant = shot.dormant.length;
  return h(
    "div",
    { class: "steering" },
    h("h4", { title: "Earlier shots that this shot draws on" }, "Context"),
    earlier.length === 0 && h("p", { class: "quiet" }, "No earlier shots: the first shot has no context."),
    dormant > 0 &&
      h(
        "p",
        { class: "quiet" },
        `${dormant} ${dormant > 1 ? "pins, bans or boosts have" : "pin, ban or boost has"} no effect: the shot is skipped, deleted, or no longer earlier.`,
      ),
    earlier.map(row),
    partChips(shot, earlier, toggle),
    shot.take !== null &&
      shot.reason_codes.includes("steering") &&
      button("Render and compare", () => renderAndCompare(shot), {
        class: "primary",
        title: "Render this shot at the same seed and show both takes side by side",
      }),
  );
}

/** @param {Shot} shot */
const renderAndCompare = async (shot) =>
  (await import("../takes/render-and-compare.js")).renderAndCompare(shot);

/**
 * @param {Shot} shot
 * @param {Shot[]} earlier
 * @param {(kind: Steering, target: string) => unknown} toggle
 */
function partChips(shot, earlier, toggle) {
  if (!STEERINGS.some((kind) => steeredParts(shot, kind).length)) return false;
  const row = h("div", { class: "row" });
  import("./part-chips.js").then((module) => module.fillChips(row, shot, earlier, toggle));
  return row;
}
