// The models on this machine: what each is, what it needs, adding, downloading, using, removing.

import { get, post } from "../common/api.js";
import { sendEdit, sendToQueue } from "../common/commands.js";
import { button, fill, h } from "../common/dom.js";
import { memorySize, size } from "../common/format.js";
import { latest } from "../common/latest.js";
import { start } from "../common/project.js";
import { notify, notifyError, page, subscribe } from "../common/state.js";

const HUB_NAME = /^[\w-][\w.-]*\/[\w-][\w.-]*(@\w[\w./-]*)?$/;

/** @type {Record<string, string>} */
const ORIGINS = {
  embedded: "comes with the studio",
  hub: "from the hub",
  added: "added by you",
  comfyui: "in ComfyUI’s folders",
};

/** @param {HTMLElement} element */
export function mount(element) {
  const here = h("ul", { class: "models" }, h("li", { class: "quiet" }, "Looking for models…"));
  const offered = h("ul", { class: "models" });
  const found = h("div", { class: "model-found" });
  const field = h("input", {
    type: "text",
    "aria-label": "A model of the hub, or a path",
    placeholder: "owner/name on the hub, or a path",
  });
  const submit = h("button", { type: "submit", class: "button" }, "Look up");
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const form = h("form", { class: "model-add" }, field, submit);
  const adding = h("div", { class: "model-adding" }, problem, form, found);

  const showState = latest((/** @type {LibraryState} */ state) => {
    fill(
      here,
      state.models.map((model) => modelItem(model, state.machine, load)),
    );
    fill(
      offered,
      state.offered.map((known) => offeredItem(known, lookUp)),
    );
  }, notifyError);
  const load = () => showState(() => get("/models"));

  /** Shows why a model was not added, above the field, which the panel may end with. @param {string} words */
  function showProblem(words) {
    problem.textContent = words;
    problem.hidden = !words;
  }
  const showFound = latest(
    (/** @type {HTMLElement | null} */ item) => {
      showProblem("");
      fill(found, item);
      if (item) adding.scrollIntoView({ block: "nearest" });
    },
    (error) => {
      fill(found);
      showProblem(/** @type {Error} */ (error).message);
      adding.scrollIntoView({ block: "nearest" });
    },
  );

  /** @param {string} model */
  function lookUp(model) {
    showProblem("");
    fill(found, h("p", { class: "quiet" }, "Asking the hub…"));
    adding.scrollIntoView({ block: "nearest" });
    return showFound(async () => foundItem(await post("/models/look-up", { model }), () => fill(found)));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    if (HUB_NAME.test(text)) return lookUp(text);
    return showFound(async () => {
      await post("/models/add", { name: nameOf(text), files: filesOf(text) });
      if (field.value.trim() === text) field.value = "";
      load();
      return null;
    });
  });

  fill(
    element,
    h(
      "div",
      { class: "panel" },
      h("h3", {}, "Models on this machine"),
      here,
      h("h3", {}, "Add a model"),
      adding,
      h("h3", {}, "On offer"),
      offered,
    ),
  );
  let shown = "";
  subscribe("queue project", () => {
    const settings = page.project?.settings;
    const now = JSON.stringify([settings?.model, settings?.draft_model, downloads()]);
    if (now !== shown) load();
    shown = now;
  });
  start();
}

/** The states of downloads, which decide what is on this machine. */
const downloads = () =>
  page.queue.jobs.filter((job) => job.kind === "download").map(({ id, state }) => [id, state]);

/** The name for a path: its last part without the ending. @param {string} path */
function nameOf(path) {
  const last =
    path
      .replace(/[\\/]+$/, "")
      .split(/[\\/]/)
      .pop() ?? path;
  return last
    .replace(/\.(safetensors|gguf)$/i, "")
    .replace(/[^\w.-]+/g, "-")
    .slice(0, 64);
}

/** @param {string} path */
const filesOf = (path) =>
  /\.(safetensors|gguf|ckpt|pt|pth|bin)$/i.test(path) ? { transformer: path } : { folder: path };

/**
 * @param {ModelState} state
 * @param {Machine} machine
 * @param {() => Promise<void>} load
 */
function modelItem(state, machine, load) {
  const { model } = state;
  const settings = page.project?.settings;
  const isUsed = settings !== undefined && (settings.model ?? null) === model.model;
  const isForDrafts = settings !== undefined && !isUsed && settings.draft_model === model.model;
  const use = () =>
    sendEdit(() => {
      const now = page.project?.settings;
      return now && { op: "settings", settings: { ...now, model: model.model } };
    });
  return h(
    "li",
    { class: `model ${isUsed ? "is-used" : ""}` },
    h("strong", {}, model.name),
    h("span", { class: "quiet" }, facts(model)),
    model.problem
      ? h("p", { class: "field-error" }, model.problem)
      : h("span", { class: `model-fit ${state.fits ? "is-good" : ""}` }, fitWords(state, machine)),
    h(
      "div",
      { class: "row" },
      isUsed
        ? h("span", { class: "chip" }, "Used in this project")
        : button("Use in this project", use, { disabled: model.problem !== null }),
      isForDrafts && h("span", { class: "chip" }, "Used for drafts"),
      model.origin !== "embedded" && checkButton(model),
      (model.origin === "hub" || model.origin === "added") && removeButton(model, load),
    ),
  );
}

/** @param {LibraryModel} model */
function checkButton({ name, model }) {
  const check = async () => {
    element.disabled = true;
    try {
      await post("/models/check", { model });
      notify(`${name}: all files are there and whole.`);
    } catch (error) {
      notifyError(error);
    }
    element.disabled = false;
  };
  const element = button("Check", check);
  return element;
}

/**
 * Asks once more before it acts, since nothing undoes it.
 * @param {LibraryModel} model
 * @param {() => Promise<void>} load
 */
function removeButton({ name, model, origin }, load) {
  const label = origin === "hub" ? "Delete files" : "Remove";
  let asked = false;
  const ask = (/** @type {boolean} */ now) => {
    asked = now;
    element.textContent = now ? "Click again to do it" : label;
  };
  const remove = async () => {
    if (!asked) return ask(true);
    ask(false);
    try {
      const freed = /** @type {number} */ (await post("/models/remove", { model }));
      notify(freed ? `${name} is deleted, ${size(freed)} freed.` : `${name} is off the list.`);
      await load();
    } catch (error) {
      notifyError(error);
    }
  };
  const element = button(label, remove, { onblur: () => ask(false) });
  return element;
}

/** @param {LibraryModel} model */
function facts(model) {
  const parameters = model.parameters >= 1e8 ? `${(model.parameters / 1e9).toFixed(1)} B parameters` : "";
  const known = [
    model.title,
    model.size ? size(model.size) : "",
    parameters,
    model.dtype,
    model.needs_first_frame ? "every shot needs a first frame" : "",
    ORIGINS[model.origin],
  ];
  return [...known, model.licence ?? (model.origin === "embedded" ? "" : "licence not stated")]
    .filter((word) => word)
    .join(" · ");
}

/**
 * @param {ModelState} state
 * @param {Machine} machine
 */
function fitWords({ model, fits }, machine) {
  const least = Math.min(...model.needs.map((need) => need.device));
  if (!model.needs.length)
    return model.origin === "embedded" ? "Fits every machine" : "What it needs is not known";
  if (fits) return `Fits this machine with the profile ${fits}`;
  const needed = `${memorySize(least)} of GPU memory`;
  if (machine.device === null)
    return `Needs a GPU with ${needed}; this machine has none and renders it very slowly`;
  return `Needs ${needed} at least; this machine has ${memorySize(machine.device)}`;
}

/**
 * @param {KnownModel} known
 * @param {(model: string) => void} lookUp
 */
const offeredItem = (known, lookUp) =>
  h(
    "li",
    { class: "model" },
    h("strong", {}, known.title),
    h("span", { class: "quiet" }, `${known.id} · ${known.licence} · ${known.steps} steps`),
    h("span", {}, known.note),
    h(
      "div",
      { class: "row" },
      button("Download…", () => lookUp(known.id)),
    ),
  );

/**
 * What the hub has, and whether what is missing of it fits the disk.
 * @param {RemoteModel} found
 * @param {() => void} done
 */
function foundItem({ model, licence, size: whole, missing, free, fits }, done) {
  const download = async () => {
    const job = await sendToQueue("/models/download", { model });
    if (job === null) return;
    notify("The download is in the queue, with its progress. It goes on when this page is closed.");
    done();
  };
  const begun = missing < whole;
  const here = begun ? `, of which ${size(whole - missing)} are here` : "";
  const room = `${size(free)} of the disk are free`;
  return h(
    "div",
    { class: "model" },
    h("strong", {}, model.split("@")[0]),
    h("span", { class: "quiet" }, `Licence: ${licence ?? "not stated"}`),
    h("span", { class: fits ? "" : "field-error" }, `${size(whole)}${here}; ${room}`),
    h(
      "div",
      { class: "row" },
      button(begun ? "Continue download" : "Download", download, { class: "primary", disabled: !fits }),
    ),
  );
}
