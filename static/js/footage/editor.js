// One video of footage: the film, the shot that is shown, and the filmstrip with its cuts.

import { post } from "../common/api.js";
import { button, fill, h, icon } from "../common/dom.js";
import { download } from "../common/download.js";
import { counted } from "../common/format.js";
import { menu, menuItem } from "../common/menu.js";
import { notify, notifyError } from "../common/state.js";
import { Editing } from "./editing.js";
import { filmPlayer } from "./film.js";
import { footageKeys } from "./keys.js";
import { shotPanel } from "./shot-panel.js";
import { filmstrip } from "./strip.js";
import { styleField } from "./style-field.js";
import { isActive, jobWords, length } from "./words.js";

/** How many times the change around it a cut's own must be. @type {[words: string, threshold: number][]} */
const THRESHOLDS = [
  ["As usual", 3],
  ["More cuts", 2],
  ["Many more cuts", 1.5],
  ["Fewer cuts", 5],
];

/**
 * Shows one video; answers what ends it.
 * @param {HTMLElement} element
 * @param {string} id
 */
export function openEditor(element, id) {
  const editing = new Editing(id);
  const film = filmPlayer(editing);
  const shot = shotPanel(editing);
  const strip = filmstrip(editing);
  const style = styleField(editing);
  const keys = footageKeys(editing, { film, shot, strip });

  const name = h("h1", {});
  const facts = h("span", { class: "quiet footage-facts" });
  const undo = button("Undo", () => editing.turn("undo"), { text: false, icon: "undo", disabled: true });
  const redo = button("Redo", () => editing.turn("redo"), { text: false, icon: "redo", disabled: true });
  const cuts = menu("Find cuts again", {}, () =>
    THRESHOLDS.map(([words, threshold]) =>
      menuItem(words, () => editing.findCuts(threshold), threshold === 3 ? null : "can be undone"),
    ),
  );
  const save = menu("Save storyboard", { class: "right save-menu" }, () => [
    menuItem("Download", saveFile, "YAML"),
    ...(editing.state?.location === "uploaded"
      ? []
      : [menuItem("Save beside the video", saveBeside, "for moc-studio footage")]),
  ]);
  const notes = h("ul", { class: "footage-notes" });
  const state = h("div", { class: "footage-job" });
  const work = h(
    "div",
    { class: "footage-work", hidden: true },
    h(
      "div",
      { class: "footage-top" },
      film.element,
      h("div", { class: "footage-side" }, shot.element, style.element),
    ),
    strip.element,
  );
  strip.bar.prepend(
    h("span", { class: "quiet footage-hint" }, "Drag a cut, or move it with ← →. Space plays."),
  );

  async function saveFile() {
    await download(`/api/footage/${id}/storyboard.yaml`).catch(notifyError);
  }
  async function saveBeside() {
    try {
      notify(`Saved as ${await post(`/footage/${id}/save`)}`);
    } catch (error) {
      notifyError(error);
    }
  }

  fill(
    element,
    h(
      "header",
      { class: "bar" },
      h("a", { class: "button", href: "#" }, icon("back"), h("span", {}, "Footage")),
      h("div", { class: "footage-title" }, name, facts),
      undo,
      redo,
      h("span", { class: "grow" }),
      button("Keys", keys.toggleHelp, { text: false, icon: "help", title: "Keyboard shortcuts (?)" }),
      cuts,
      save,
    ),
    notes,
    state,
    work,
  );

  let drawnJob = "";
  function drawJob() {
    const { job = null, ready = false } = editing.state ?? {};
    const key = JSON.stringify([job, ready, editing.state?.missing]);
    if (key === drawnJob) return;
    drawnJob = key;
    const active = isActive(job);
    const failed = job !== null && ["failed", "parked", "cancelled"].includes(job.state);
    state.hidden = ready && !active && !failed;
    const again = () => editing.findCuts();
    fill(
      state,
      h(
        "p",
        { class: failed && job.state !== "cancelled" ? "field-error" : "", role: "status" },
        jobWords(job),
      ),
      job?.state === "running" && job.steps > 0 && h("progress", { max: job.steps, value: job.step }),
      active && !ready && h("p", { class: "quiet" }, "You can leave this page meanwhile."),
      active
        ? button("Cancel", () => editing.cancel(), { icon: "close" })
        : button(failed ? "Try again" : "Find cuts", again, { class: ready ? "" : "primary" }),
    );
  }

  function draw() {
    const footage = editing.state;
    if (!footage) return;
    document.title = `${footage.name} · Footage · MoC Studio`;
    name.textContent = footage.name;
    name.title = footage.location;
    const left = footage.shots.filter((one) => one.left_out).length;
    const bare = footage.shots.filter((one) => !one.left_out && !one.caption).length;
    facts.textContent = footage.ready
      ? [
          counted(footage.shots.length, "shot"),
          left && `${left} left out`,
          bare && `${bare} without a caption`,
          length(footage.frames / footage.fps),
        ]
          .filter(Boolean)
          .join(" · ")
      : "";
    const told = [
      ...(footage.missing ? ["The video is not there any more; its cuts and captions are."] : []),
      ...footage.notes,
    ];
    fill(
      notes,
      told.map((text) => h("li", {}, icon("warn"), h("span", {}, text))),
    );
    for (const [one, words, what] of /** @type {const} */ ([
      [undo, "Undo", footage.undo],
      [redo, "Redo", footage.redo],
    ])) {
      one.disabled = !what;
      one.title = what ? `${words}: ${what}` : `Nothing to ${words.toLowerCase()}`;
      one.setAttribute("aria-label", one.title);
    }
    cuts.hidden = !footage.ready || isActive(footage.job);
    save.hidden = !footage.ready;
    work.hidden = !footage.ready;
    drawJob();
  }

  // `work` has to be seen before the strip is laid out, so this listens first
  const listeners = new AbortController();
  editing.addEventListener("gone", () => {
    location.hash = "";
  });
  const first = () => {
    draw();
    if (!editing.state?.ready) return;
    editing.removeEventListener("state", first);
    editing.dispatchEvent(new Event("state"));
    editing.seek(editing.frame);
  };
  editing.addEventListener("state", first);
  editing.addEventListener("state", draw);
  window.addEventListener("focus", () => editing.load(), { signal: listeners.signal });
  window.addEventListener("keydown", keys.press, { signal: listeners.signal });
  editing.load();
  return () => {
    shot.end();
    style.end();
    listeners.abort();
    film.end();
    editing.end();
  };
}
