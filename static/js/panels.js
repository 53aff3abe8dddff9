// The panels beside the player: the selected shot, its takes, the queue.

import { fileOf } from "./api.js";
import { button, duration, h, icon, percent, present, reconcile } from "./dom.js";
import { current, edit, on, order, render, roll, select, shots, start, view } from "./store.js";
import { editCaption, standing, standingWords } from "./timeline.js";

// The selected shot

export function mountShot(element) {
  const box = h("div", { class: "panel shot-panel" });
  element.replaceChildren(box, hints());
  let drawn = "";
  const draw = () => {
    const shot = current();
    const key = JSON.stringify([shot, view.selected, view.project?.due, shot && standing(shot)]);
    if (key === drawn || box.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return;
    drawn = key;
    box.replaceChildren(...present(shot ? shotParts(shot) : [h("p", { class: "quiet" }, "Select a shot on the timeline.")]));
  };
  box.addEventListener("focusout", () => setTimeout(() => ((drawn = ""), draw())));
  on("project selection queue", draw);
  start();
}

// What somebody new should know; nothing of it is kept but that it was read.
function hints() {
  if (localStorage.getItem("hints") === "read") return h("div", { hidden: true });
  const box = h(
    "div",
    { class: "hints" },
    h("h4", {}, "New here?"),
    h(
      "ol",
      {},
      h("li", {}, "Space plays the film. Click a caption below to change it."),
      h("li", {}, "Render then makes anew only what the change matters to; point at a shot to read why."),
      h("li", {}, "Context says how much each shot drew from which earlier one. Pin or ban them."),
    ),
    button("Got it", () => (localStorage.setItem("hints", "read"), box.remove())),
  );
  return box;
}

function shotParts(shot) {
  const number = shots().indexOf(shot) + 1;
  const many = view.selected.length;
  const state = standing(shot);
  const numberField = (label, value, save, props = {}) =>
    h("label", { class: "field" }, h("span", {}, label), h("input", { type: "number", value: value ?? "", onchange: (event) => save(event.target.value), onkeydown: (event) => event.key === "Enter" && event.target.blur(), ...props }));
  const flag = (op, on, shape, label) =>
    button(label, () => edit({ op, shots: view.selected, on: !on }), { shape, "aria-pressed": String(on) });
  return [
    h("h3", {}, many > 1 ? `${many} shots selected · shot ${number}` : `Shot ${number}`),
    h("button", { type: "button", class: "caption-line", onclick: () => editCaption(shot.id), title: "Edit the caption (E)" }, shot.caption || "Write what happens…"),
    h("p", { class: `standing is-${state}` }, h("strong", {}, standingWords(shot))),
    shot.reasons.length && shot.take ? h("ul", { class: "reasons" }, shot.reasons.map((reason) => h("li", {}, reason))) : null,
    h(
      "div",
      { class: "row" },
      button(shot.take ? "Render again" : "Render", () => render({ shots: view.selected }), { class: "primary", disabled: shot.lock || shot.skip || !shot.caption, title: "Render this shot (R)" }),
      button("New seed", () => roll(shot.id, 1), { shape: "dice", disabled: shot.lock || shot.skip || !shot.caption, title: "Another take with a new seed and the context it had" }),
      button("4 variations", () => roll(shot.id, 4), { disabled: shot.lock || shot.skip || !shot.caption }),
    ),
    h(
      "div",
      { class: "fields" },
      numberField("Length (s)", shot.seconds, (value) => edit({ op: "trim", shot: shot.id, trim: shot.trim, seconds: Number(value) }), { min: 0.5, max: 10, step: 0.1 }),
      numberField("From (s)", shot.trim, (value) => edit({ op: "trim", shot: shot.id, trim: Number(value), seconds: shot.seconds }), { min: 0, max: 9.5, step: 0.1 }),
      numberField("Seed", shot.seed, (value) => edit({ op: "seed", shot: shot.id, seed: value === "" ? null : Number(value) }), { min: 0, placeholder: "the film's" }),
    ),
    h("div", { class: "row" }, flag("lock", shot.lock, "lock", "Lock"), flag("skip", shot.skip, "skip", "Skip"), button("Duplicate", () => edit({ op: "duplicate", shots: view.selected }), { shape: "copy" }), button("Delete", () => edit({ op: "delete", shots: view.selected }), { shape: "remove" })),
    steeringParts(shot),
  ];
}

function steeringParts(shot) {
  const place = shots().indexOf(shot);
  const earlier = shots().slice(0, place);
  const toggle = (kind, id) => {
    const other = kind === "pins" ? "bans" : "pins";
    const mine = shot[kind].includes(id) ? shot[kind].filter((x) => x !== id) : [...shot[kind], id];
    return edit({ op: "steer", shot: shot.id, boosts: shot.boosts, [kind]: mine, [other]: shot[other].filter((x) => x !== id) });
  };
  const take = shot.takes.find((candidate) => candidate.id === shot.take);
  const share = new Map(take?.context ?? []);
  return h(
    "div",
    { class: "steering" },
    h("h4", {}, "Context"),
    earlier.length ? null : h("p", { class: "quiet" }, "The first shot remembers nothing."),
    shot.dormant.length ? h("p", { class: "quiet" }, `${shot.dormant.length} pin or ban rests: its shot is skipped, gone, or no longer earlier.`) : null,
    earlier.map((other, index) =>
      h(
        "div",
        { class: `context-row ${other.skip ? "skip" : ""}` },
        h("span", { class: "context-name", title: other.caption }, `${index + 1}  ${other.caption || "no caption"}`),
        h("span", { class: "share", title: "share of what this shot drew from earlier ones" }, share.has(index) ? percent(share.get(index)) : ""),
        button(`Pin shot ${index + 1}`, () => toggle("pins", other.id), { text: false, shape: "pin", "aria-pressed": String(shot.pins.includes(other.id)) }),
        button(`Ban shot ${index + 1}`, () => toggle("bans", other.id), { text: false, shape: "cross", "aria-pressed": String(shot.bans.includes(other.id)) }),
      ),
    ),
  );
}

// Takes

export function mountTakes(element) {
  const list = h("div", { class: "takes" });
  const empty = h("p", { class: "quiet" }, "Takes of the selected shot appear here once it is rendered.");
  const compare = h("div", { class: "compare", hidden: true });
  const more = h("div", { class: "row" });
  element.replaceChildren(h("div", { class: "panel" }, more, compare, empty, list));
  let compared = [];

  const draw = () => {
    const shot = current();
    const all = shot?.takes ?? [];
    const binned = all.filter((take) => take.discarded).length;
    const takes = all.filter((take) => !take.discarded);
    compared = compared.filter((id) => takes.some((take) => take.id === id));
    empty.hidden = takes.length > 0;
    more.replaceChildren(
      takes.length > 1
        ? button(compared.length === 2 ? "Close comparison" : "Compare", () => {
            compared = compared.length === 2 ? [] : [shot.take ?? takes[0].id, takes.findLast((take) => take.id !== shot.take)?.id ?? takes[1].id];
            draw();
          })
        : "",
      binned ? h("span", { class: "quiet" }, `${binned} deleted (undo brings them back)`) : "",
    );
    reconcile(
      list,
      takes.toReversed(),
      (take) => take.id,
      (take) =>
        h(
          "div",
          { class: "take" },
          h("video", { class: "take-clip", muted: true, loop: true, preload: "none", playsInline: true, src: fileOf(view.project.id, take.id, "clip"), onmouseenter: (e) => e.target.play().catch(() => {}), onmouseleave: (e) => e.target.pause() }),
          h("div", { class: "take-words" }),
          h("div", { class: "row" }),
        ),
      (box, take) => updateTake(box, shot, take, all),
    );
    drawCompare(compare, shot, takes, compared, (index, id) => ((compared[index] = id), draw()));

  };
  on("project selection", draw);
  start();
}

function updateTake(box, shot, take, all) {
  const number = all.indexOf(take) + 1;
  box.classList.toggle("chosen", take.chosen);

  box.style.setProperty("--picture", `url("${fileOf(view.project.id, take.id, "thumbnail")}")`);
  const key = JSON.stringify([take, number, shot.id]);
  if (box.dataset.drawn === key) return;
  box.dataset.drawn = key;
  const seen = take.context.map(([place, share]) => `${place === null ? "an older take" : `shot ${place + 1}`} ${percent(share)}`);
  const when = new Date(take.created * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  box.querySelector(".take-words").replaceChildren(
    h("strong", {}, `Take ${number}${take.chosen ? " · chosen" : ""}`),
    h("span", {}, `seed ${take.seed} · ${take.seconds.toFixed(1)} s · ${when} · made in ${duration(take.spent)}`),
    h("span", { class: "quiet" }, seen.length ? `looked at ${seen.join(", ")}` : "saw no earlier shot"),
    take.caption === shot.caption ? "" : h("span", { class: "quiet" }, `caption then: ${take.caption}`),
  );
  box.querySelector(".row").replaceChildren(
    take.chosen ? h("span", { class: "chip" }, icon("check"), "in the cut") : button("Choose", () => edit({ op: "choose", shot: shot.id, take: take.id })),
    button("Restore settings", () => edit({ op: "restore", shot: shot.id, take: take.id }), { title: "Give the shot this take's caption, length and seed again" }),
    button("Delete take", () => edit({ op: "discard", take: take.id }), { text: false, shape: "remove" }),
  );
}

// Two takes side by side, in step with each other.
function drawCompare(box, shot, takes, ids, choose) {
  box.hidden = ids.length !== 2;
  if (box.hidden) {
    box.replaceChildren();
    box.dataset.ids = "";
    return;
  }
  if (box.dataset.ids === ids.join(" ")) return;
  box.dataset.ids = ids.join(" ");
  const videos = ids.map((id) => h("video", { muted: true, loop: true, playsInline: true, src: fileOf(view.project.id, id, "clip") }));
  const follow = () => Math.abs(videos[1].currentTime - videos[0].currentTime) > 0.04 && (videos[1].currentTime = videos[0].currentTime);
  videos[0].addEventListener("timeupdate", follow);
  videos[0].addEventListener("seeked", follow);
  const both = (work) => videos.forEach(work);
  const play = button("Play both", () => (videos[0].paused ? both((v) => v.play().catch(() => {})) : both((v) => v.pause())), { shape: "play" });
  const slide = h("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Moment", oninput: () => both((v) => (v.pause(), (v.currentTime = slide.value * (v.duration || 0)))) });
  const chooser = (index) =>
    h("select", { "aria-label": index ? "Right take" : "Left take", onchange: (event) => choose(index, event.target.value) }, takes.map((take) => h("option", { value: take.id, selected: take.id === ids[index] }, `Take ${shot.takes.indexOf(take) + 1} · seed ${take.seed}`)));
  box.replaceChildren(h("div", { class: "pair" }, ...videos.map((video, index) => h("div", {}, video, chooser(index)))), h("div", { class: "row" }, play, slide));
  both((v) => v.play().catch(() => {}));
}

// Queue

const STATES = { queued: "waiting", running: "rendering", done: "done", failed: "failed", cancelled: "cancelled", parked: "set aside" };

export function mountQueue(element) {
  const pause = button("Pause", () => order("/queue/pause", { paused: !view.queue.paused }));
  const clear = button("Clear finished", () => order("/queue/clear", {}));
  const list = h("ol", { class: "queue" });
  const empty = h("p", { class: "quiet" }, "Nothing waits. What you render appears here, and goes on when this page is closed.");
  element.replaceChildren(h("div", { class: "panel" }, h("div", { class: "row" }, pause, clear), empty, list));
  on("queue project", () => {
    const jobs = view.queue.jobs;
    empty.hidden = jobs.length > 0;
    pause.querySelector("span").textContent = view.queue.paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(view.queue.paused));
    clear.disabled = !jobs.some((job) => !["queued", "running"].includes(job.state));
    reconcile(list, jobs, (job) => job.id, () => h("li", { class: "job" }), updateJob);
  });
  start();
}

function updateJob(box, job) {
  const key = JSON.stringify(job);
  if (box.dataset.drawn === key) return;
  box.dataset.drawn = key;
  const waiting = view.queue.jobs.filter((other) => other.state === "queued");
  const at = waiting.findIndex((other) => other.id === job.id);
  const here = job.project === view.project?.id;
  const left = job.seconds_left === null ? "" : ` · ${duration(job.seconds_left)} left`;
  const progress = job.state === "running" ? ` · ${job.stage ?? "begins"}${job.steps ? ` ${job.step}/${job.steps}` : ""}${left}` : job.state === "queued" ? ` · about ${duration(job.seconds)}` : "";
  box.className = `job is-${job.state}`;
  box.replaceChildren(
    h("button", { type: "button", class: "job-name", onclick: () => here && select([job.shot]) }, `${here ? "" : `${job.title}: `}${job.place === null ? "a deleted shot" : `shot ${job.place + 1}`}`),
    h("span", { class: "job-state" }, `${STATES[job.state]}${progress}`),
    h("span", { class: "quiet" }, job.error ?? job.reason),
    job.state === "running" && job.steps ? h("progress", { max: job.steps, value: job.step }) : "",
    h(
      "div",
      { class: "row" },
      at > 0 ? button("Earlier", () => order(`/jobs/${job.id}/move`, { before: waiting[at - 1].id }), { text: false, shape: "up" }) : "",
      ["queued", "running"].includes(job.state) ? button("Cancel", () => order(`/jobs/${job.id}/cancel`, {}), { shape: "close" }) : "",
      ["failed", "cancelled", "parked"].includes(job.state) ? button("Try again", () => order(`/jobs/${job.id}/retry`, {})) : "",
    ),
  );
}

