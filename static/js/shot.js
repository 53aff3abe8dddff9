// The selected shot: what it is, how it stands, what it looks at.

import { button, h, icon, percent, present, unknownWords } from "./dom.js";
import { KINDS, steered, steeredParts, steersBy } from "./steering.js";
import { current, edit, on, render, roll, shotOf, shots, start, view } from "./store.js";
import { statusOf, statusWords } from "./clips.js";
import { editCaption } from "./writing.js";

export function mount(element) {
  const box = h("div", { class: "panel shot-panel" });
  element.replaceChildren(box);
  if (localStorage.getItem("hints") !== "read") import("./hints.js").then((m) => element.append(m.hints()));
  let drawn = "";
  const draw = () => {
    const shot = current();
    const key = JSON.stringify([shot, view.selected, view.project?.due, shot && statusOf(shot)]);
    if (key === drawn) return;
    const focused = box.contains(document.activeElement) ? document.activeElement : null;
    if (focused?.tagName === "INPUT") return; // drawn once it is left
    drawn = key;
    const place = [...box.querySelectorAll("button, input")].indexOf(focused);
    box.replaceChildren(...present(shot ? shotParts(shot) : [h("p", { class: "quiet" }, "Select a shot on the timeline.")]));
    if (place >= 0) box.querySelectorAll("button, input")[place]?.focus();
  };
  box.addEventListener("focusout", () => setTimeout(draw));
  on("project selection queue", draw);
  start();
}

function shotParts(shot) {
  const number = shots().indexOf(shot) + 1;
  const many = view.selected.length;
  const state = statusOf(shot);
  const flag = (op, on, shape, label) =>
    button(label, () => edit({ op, shots: view.selected, on: !on }), { shape, "aria-pressed": String(on) });
  return [
    h("h3", {}, many > 1 ? `${many} shots selected · shot ${number}` : `Shot ${number}`),
    h("button", { type: "button", class: "caption-line", onclick: () => editCaption(shot.id), title: "Edit the caption (E)" }, shot.caption || "Write what happens…"),
    h("p", { class: `shot-status is-${state}` }, h("strong", {}, statusWords(shot))),
    state === "outdated" ? h("p", { class: "quiet" }, "The change hardly affects this shot: rendering it again is optional.") : null,
    unknownWords([[shot.caption, shot.unknown]]),
    shot.reasons.length && shot.take ? h("ul", { class: "reasons" }, shot.reasons.map((reason) => h("li", {}, reason))) : null,
    h(
      "div",
      { class: "row" },
      button(shot.take ? "Render again" : "Render", () => render({ shots: view.selected }), { class: "primary", disabled: shot.lock || shot.skip || !shot.caption, title: "Render this shot (R)" }),
      button("New seed", () => roll(shot.id, 1), { shape: "dice", disabled: shot.lock || shot.skip || !shot.caption, title: "Another take with a new seed and the context it had" }),
      variations(shot),
    ),
    h(
      "div",
      { class: "fields" },
      numberField("Length", "s", shot.seconds, (seconds) => ({ op: "trim", shot: shot.id, trim: shot.trim, seconds })),
      numberField("From", "s", shot.trim, (trim) => ({ op: "trim", shot: shot.id, trim, seconds: shot.seconds })),
      numberField("Seed", "", shot.seed, (seed) => ({ op: "seed", shot: shot.id, seed }), "the film's"),
    ),
    h("div", { class: "row" }, flag("lock", shot.lock, "lock", "Lock"), flag("skip", shot.skip, "skip", "Skip"), button("Duplicate", () => edit({ op: "duplicate", shots: view.selected }), { shape: "copy" }), button("Delete", () => edit({ op: "delete", shots: view.selected }), { shape: "remove" })),
    steeringParts(shot),
  ];
}

// So many takes at once, each with a seed of its own, to choose from.
function variations(shot) {
  const disabled = shot.lock || shot.skip || !shot.caption;
  const count = h("select", { "aria-label": "How many variations", disabled, onchange: () => (wanted = Number(count.value)) }, [2, 3, 4, 6, 8].map((n) => h("option", { value: n, selected: n === wanted }, String(n))));
  return h("span", { class: "split-button" }, count, button("variations", () => roll(shot.id, wanted), { disabled, title: "Takes with new seeds and the context it had, to choose from" }));
}

let wanted = 4; // variations

// A field whose number is an edit once it is left; what is wrong with it is said below it, and it stays as typed.
// Left empty it means nothing, where there is a `placeholder` that says what stands then.
function numberField(label, unit, value, command, placeholder = null) {
  const shown = value === null ? "" : String(Math.round(value * 1000) / 1000);
  const error = h("span", { class: "field-error", role: "alert" });
  const refuse = (words) => (error.textContent = `${label} ${words}`);
  const save = () => {
    const typed = input.value.trim().replace(",", ".");
    error.textContent = "";
    if (typed === shown) return;
    if (typed === "" && placeholder) edit(command(null), refuse);
    else if (typed === "" || !Number.isFinite(Number(typed))) refuse(`must be a number, got “${input.value}”`);
    else edit(command(Number(typed)), refuse);
  };
  const input = h("input", { type: "text", inputMode: "decimal", value: shown, placeholder, onchange: save, onkeydown: (event) => event.key === "Enter" && input.blur() });
  return h("label", { class: "field" }, h("span", {}, unit ? `${label} (${unit})` : label), input, error);
}

// What the shot looks at: every earlier shot with its share, and what it is told about them.
function steeringParts(shot) {
  const earlier = shots().slice(0, shots().indexOf(shot));
  const take = shot.takes.find((candidate) => candidate.id === shot.take);
  const share = new Map(take?.context ?? []);
  const toggle = (kind, target) => edit(() => shotOf(shot.id) && steered(shotOf(shot.id), kind, target));
  return h(
    "div",
    { class: "steering" },
    h("h4", {}, "Context"),
    earlier.length ? null : h("p", { class: "quiet" }, "The first shot remembers nothing."),
    shot.dormant.length ? h("p", { class: "quiet" }, `${shot.dormant.length} pin, ban or boost rests: its shot is skipped, gone, or no longer earlier.`) : null,
    earlier.map((other, index) =>
      h(
        "div",
        { class: `context-row ${other.skip ? "skip" : ""}` },
        h("span", { class: "context-name", title: other.caption }, `${index + 1}  ${other.caption || "no caption"}`),
        h("span", { class: "share", title: "share of what this shot drew from earlier ones" }, share.has(index) ? percent(share.get(index)) : ""),
        Object.entries(KINDS).map(([kind, { word, shape }]) =>
          button(`${word} shot ${index + 1}`, () => toggle(kind, other.id), { text: false, shape, "aria-pressed": String(steersBy(shot, kind, other.id)) }),
        ),
      ),
    ),
    partChips(shot, earlier, toggle),
    shot.take && shot.reason_codes.includes("steering") ? button("Render and compare", async () => (await import("./alternative.js")).alternative(shot), { class: "primary", title: "Render this shot at the same seed and show both takes side by side" }) : null,
  );
}

// Parts of earlier shots that are steered, each with what takes it back.
function partChips(shot, earlier, toggle) {
  const chips = Object.entries(KINDS).flatMap(([kind, { past }]) =>
    steeredParts(shot, kind).map(([target, id, part]) => {
      const place = earlier.findIndex((other) => other.id === id);
      const name = `${past}: ${part} in ${place < 0 ? "a shot that is not earlier" : `shot ${place + 1}`}`;
      return h("button", { type: "button", class: "chip", onclick: () => toggle(kind, target), title: "Take it back" }, name, icon("close"));
    }),
  );
  return chips.length ? h("div", { class: "row" }, chips) : null;
}
