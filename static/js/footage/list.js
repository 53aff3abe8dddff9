// The list of footage: what there is, how far it was read, adding and removing.

import { get, post } from "../common/api.js";
import { button, fill, h, icon, updateList } from "../common/dom.js";
import { counted } from "../common/format.js";
import { latest } from "../common/latest.js";
import { notify, notifyError } from "../common/state.js";
import { uploadVideo } from "./upload.js";
import { isActive, jobWords, length, studioAddress } from "./words.js";

const POLL = 1000; // ms
const STORYBOARD = /\.ya?ml$/i;

/**
 * Shows the list; answers what ends it.
 * @param {HTMLElement} element
 */
export function openList(element) {
  document.title = "Footage · MoC Studio";
  let over = false;
  let timer = 0;
  const field = h("input", {
    type: "text",
    "aria-label": "A video, a folder of videos, or a storyboard on this machine",
    placeholder: "/path/to/a video, a folder of videos, or a storyboard.yaml",
    spellcheck: false,
  });
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const input = h("input", {
    type: "file",
    accept: "video/*,.mkv,.mts,.m2ts,.mxf,.avi,.yaml,.yml",
    multiple: true,
    hidden: true,
  });
  const sending = h("p", { class: "quiet", role: "status", hidden: true });
  const list = h("ul", { class: "footage-items" });
  const empty = h("p", { class: "quiet footage-empty", hidden: true }, "No footage yet.");

  const showList = latest((/** @type {FootageSummary[]} */ found) => {
    if (over) return;
    empty.hidden = found.length > 0;
    const make = () => h("li", { class: "footage-item" });
    updateList(
      list,
      found,
      (one) => one.id,
      make,
      (item, one) => updateItem(item, one, load),
    );
    clearTimeout(timer);
    if (found.some(({ job }) => isActive(job))) timer = setTimeout(load, POLL);
  }, notifyError);
  const load = () => showList(() => get("/footage"));

  /** @param {string} words */
  const showProblem = (words) => {
    problem.textContent = words;
    problem.hidden = !words;
  };
  /** Shows what was added: alone on its own, several in the list. @param {string[]} ids */
  const show = (ids) => {
    if (over) return;
    if (ids.length === 1) location.hash = ids[0];
    else load();
  };
  /** @param {SubmitEvent} event */
  const add = async (event) => {
    event.preventDefault();
    const path = field.value.trim();
    if (!path) return;
    showProblem("");
    try {
      const ids = /** @type {string[]} */ (await post("/footage", { path }));
      field.value = "";
      show(ids);
    } catch (error) {
      showProblem(/** @type {Error} */ (error).message);
    }
  };
  /** @param {Iterable<File>} files */
  const send = async (files) => {
    showProblem("");
    const ids = [];
    for (const file of files) {
      try {
        sending.hidden = false;
        ids.push(...(await sendFile(file, (words) => (sending.textContent = words))));
      } catch (error) {
        showProblem(`${file.name}: ${/** @type {Error} */ (error).message}`);
      }
    }
    sending.hidden = true;
    if (ids.length) show(ids);
  };
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // so that the same file can be chosen again
    send(files);
  });
  const drop = (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "drop") send([...event.dataTransfer.files]);
  };
  window.addEventListener("dragover", drop);
  window.addEventListener("drop", drop);
  window.addEventListener("focus", load);

  fill(
    element,
    h(
      "header",
      { class: "bar" },
      h("a", { class: "button", href: studioAddress() }, icon("back"), h("span", {}, "Studio")),
      h("h1", {}, "Footage"),
    ),
    h(
      "div",
      { class: "footage-page-body" },
      h(
        "p",
        {},
        "Cut long videos into shots and caption them, to train a model on them. ",
        "The cuts are found by the studio; you correct them. Save the result as a storyboard for ",
        h("code", {}, "moc-studio footage"),
        ".",
      ),
      h(
        "form",
        { class: "footage-add", onsubmit: add },
        field,
        h("button", { type: "submit", class: "button primary" }, "Add"),
        button("Choose files…", () => input.click(), {
          title: "Upload videos or storyboards from this device",
        }),
        input,
      ),
      h("p", { class: "quiet" }, "Videos stay where they are; uploads are kept in the studio’s folder."),
      problem,
      sending,
      empty,
      list,
    ),
  );
  load();
  return () => {
    over = true;
    clearTimeout(timer);
    window.removeEventListener("dragover", drop);
    window.removeEventListener("drop", drop);
    window.removeEventListener("focus", load);
  };
}

/**
 * Sends a video or a storyboard; answers the ids of the footage.
 * @param {File} file
 * @param {(words: string) => void} tell
 * @returns {Promise<string[]>}
 */
async function sendFile(file, tell) {
  if (STORYBOARD.test(file.name)) {
    return post(`/footage/import?name=${encodeURIComponent(file.name.slice(-200))}`, await file.text());
  }
  tell(`Uploading ${file.name}…`);
  return [await uploadVideo(file, (share) => tell(`Uploading ${file.name}: ${Math.floor(100 * share)}%`))];
}

/**
 * @param {HTMLElement} element
 * @param {FootageSummary} one
 * @param {() => unknown} load
 */
function updateItem(element, one, load) {
  const key = JSON.stringify(one);
  if (element.dataset.drawn === key) return;
  element.dataset.drawn = key;
  const { id, job } = one;
  const middle = one.version ? `/api/footage/${id}/stills?frames=0&v=${one.version}` : null;
  const cancel = () => job && post(`/jobs/${job.id}/cancel`).then(load, notifyError);
  const again = () => post(`/footage/${id}/find-cuts`, {}).then(load, notifyError);
  const left = one.left_out ? `, ${one.left_out} left out` : "";
  const facts = `${counted(one.shots, "shot")}${left} · ${length(one.seconds)}`;
  fill(
    element,
    h(
      "a",
      { class: "footage-picture", href: `#${id}`, tabIndex: -1, "aria-hidden": "true" },
      middle && h("img", { src: middle, alt: "" }),
    ),
    h(
      "div",
      { class: "footage-words" },
      h("a", { class: "footage-name", href: `#${id}` }, one.name),
      h("span", { class: "quiet footage-location", title: one.location }, one.location),
      one.ready && h("span", {}, facts),
      (!one.ready || isActive(job)) &&
        h("span", { class: job?.error ? "field-error" : "footage-state" }, jobWords(job)),
      job?.state === "running" && job.steps > 0 && h("progress", { max: job.steps, value: job.step }),
    ),
    h(
      "div",
      { class: "row" },
      isActive(job)
        ? button("Cancel", cancel, { icon: "close" })
        : !one.ready && button("Find cuts", again, { class: "primary" }),
      removeButton(one, load),
    ),
  );
}

/**
 * Asks once more before it acts, since nothing undoes it.
 * @param {FootageSummary} one
 * @param {() => unknown} load
 */
function removeButton({ id, name, location: where }, load) {
  let asked = false;
  const label = "Remove";
  const title =
    where === "uploaded"
      ? "Remove the uploaded video with its cuts and captions"
      : "Remove its cuts and captions from the studio; the video stays where it is";
  const ask = (/** @type {boolean} */ now) => {
    asked = now;
    element.textContent = now ? "Click again to remove it for good" : label;
  };
  const remove = async () => {
    if (!asked) return ask(true);
    try {
      await post(`/footage/${id}/remove`);
      notify(`${name} is off the list.`);
      load();
    } catch (error) {
      notifyError(error);
    }
  };
  const element = button(label, remove, { title, onblur: () => ask(false) });
  return element;
}
