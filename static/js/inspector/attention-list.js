// What a part of a shot attended to: earlier chunks with pictures, the strongest first.

import { sendEdit } from "../common/commands.js";
import { boxStyle, button, h } from "../common/dom.js";
import { percent } from "../common/format.js";
import { openProjectState, publish, seek, selectedShot, shotById } from "../common/state.js";
import { isSteered, KINDS, STEERINGS, toggledSteering } from "../common/steering.js";
import { filmstripIndex, filmstripPicture } from "../timeline/clips.js";

const LEAST_SHARE = 0.005;
const WHOLE_WIDTH = 0.99; // a box as wide as the picture marks nothing

/** @param {Attention} attention */
export function attentionList({ part, own, drawn, heat = null }) {
  const shown = drawn.filter((item) => item.steerable || item.kind === "caption");
  const hidden = drawn.filter((item) => !shown.includes(item)).reduce((sum, { share }) => sum + share, 0);
  const most = Math.max(...shown.map(({ share }) => share), 1e-9);
  if (heat && shown.length) heat(shown[0]);
  const rest = hidden >= LEAST_SHARE ? `, ${percent(hidden)} to places that show nothing` : "";
  return h(
    "div",
    { class: "attention" },
    h(
      "h4",
      {},
      `What ${part} attended to`,
      h("span", { class: "quiet" }, ` · ${percent(own)} stayed within the shot${rest}`),
    ),
    shown.length === 0 && h("p", { class: "quiet" }, "Nothing in earlier shots."),
    heat &&
      shown.length > 0 &&
      h(
        "p",
        { class: "quiet" },
        "The heat over the picture belongs to the first row, or to the one you point at.",
      ),
    shown.map((item) => row(item, most, heat && { show: () => heat(item), reset: () => heat(shown[0]) })),
  );
}

/**
 * @param {Attended} item
 * @param {number} most the share that fills the bar
 * @param {{ show: () => void, reset: () => void } | null} heat
 */
function row(item, most, heat) {
  const shot = shotById(item.shot);
  const showMoment = () => {
    if (!shot) return;
    const passed = (item.at ?? 0) - shot.trim;
    seek(shot.begins + Math.max(0, Math.min(shot.seconds - 0.05, passed)));
  };
  const listeners = heat && {
    onpointerenter: heat.show,
    onfocusin: heat.show,
    onpointerleave: heat.reset,
    onfocusout: heat.reset,
  };
  return h(
    "div",
    { class: "attention-row", ...listeners },
    h(
      "button",
      {
        type: "button",
        class: "attention-entry",
        onclick: showMoment,
        disabled: !shot,
        title: shot ? "Show this moment in the film" : "This take is no longer in the film",
      },
      picture(item),
      h("span", { class: "attention-name" }, item.label),
      h("span", { class: "attention-bar" }, h("span", { style: { width: `${(100 * item.share) / most}%` } })),
      h("span", { class: "share" }, percent(item.share)),
    ),
    shot && item.steerable
      ? steeringButtons(`${shot.id}/${item.name}`, item.label)
      : h("span", { class: "attention-steering" }),
  );
}

/** The moment of the take that was attended to, and where in the picture. @param {Attended} item */
function picture({ take, at, length, box }) {
  if (!take || at === null || !length) return h("span", { class: "attention-picture" });
  const { id, size } = openProjectState();
  const marked = box && box[2] - box[0] < WHOLE_WIDTH;
  const strip = filmstripPicture(id, take, filmstripIndex(at / length));
  const style = { aspectRatio: `${size[0]} / ${size[1]}`, ...strip };
  return h(
    "span",
    { class: "attention-picture", style },
    marked && h("span", { class: "attention-box", style: boxStyle(box) }),
  );
}

/**
 * Buttons that pin, ban and boost a shot, or a part of one, for the selected shot.
 * @param {string} target
 * @param {string} label
 */
export function steeringButtons(target, label) {
  const shot = selectedShot();
  const toggle = async (/** @type {Steering} */ kind) => {
    await sendEdit(() => {
      const now = shotById(shot?.id);
      return now && toggledSteering(now, kind, target);
    });
    publish("steering");
  };
  return h(
    "span",
    { class: "attention-steering" },
    STEERINGS.map((kind) =>
      button(`${KINDS[kind].word} ${label}`, () => toggle(kind), {
        text: false,
        icon: KINDS[kind].icon,
        "aria-pressed": String(shot !== null && isSteered(shot, kind, target)),
      }),
    ),
  );
}
