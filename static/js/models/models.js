// The models on this machine: what each is, what it needs, adding, downloading, using, removing.

import { get, post } from "../common/api.js";
import { sendEdit, sendToQueue } from "../common/commands.js";
import { button, fill, h } from "../common/dom.js";
import { memorySize, size } from "../common/format.js";
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
  const here = h("ul", { class: "models" });
  const offered = h("ul", { class: "models" });
  const looked = h("div", { class: "model-found" });
  const field = h("input", {
    type: "text",
    "aria-label": "A model of the hub, or a path",
    placeholder: "owner/name on the hub, or a path",
  });
  const submit = h("button", { type: "submit", class: "button" }, "Look up");
  const add = h("form", { class: "model-add" }, field, submit);

  async function load() {
    const state = /** @type {LibraryState} */ (await get("/models"));
    fill(
      here,
      state.models.map((model) => modelItem(model, state.machine, load)),
    );
    fill(
      offered,
      state.offered.map((known) => offeredItem(known, (model) => lookUp(model))),
    );
  }

  /** @param {string} model */
  async function lookUp(model) {
    fill(looked, h("p", { class: "quiet" }, "Asking the hub…"));
    looked.scrollIntoView({ block: "nearest" });
    try {
      const found = /** @type {RemoteModel} */ (await post("/models/look-up", { model }));
      fill(
        looked,
        foundItem(found, () => fill(looked)),
      );
    } catch (error) {
      fill(looked, h("p", { class: "field-error" }, error instanceof Error ? error.message : String(error)));
    }
  }

  add.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    if (HUB_NAME.test(text)) return lookUp(text);
    try {
      await post("/models/add", { name: nameOf(text), files: filesOf(text) });
      field.value = "";
      fill(looked);
      await load();
    } catch (error) {
      fill(looked, h("p", { class: "field-error" }, error instanceof Error ? error.message : String(error)));
    }
  });

  fill(
    element,
    h(
      "div",
      { class: "panel" },
      h("h3", {}, "Models on this machine"),
      here,
      h("h3", {}, "Add a model"),
      add,
      looked,
      h("h3", {}, "On offer"),
      offered,
    ),
  );
  let shown = "";
  subscribe("queue project", () => {
    const now = JSON.stringify([page.project?.settings.model, downloads()]);
    if (now !== shown) load().catch(notifyError);
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
  const used = page.project?.settings.model ?? null;
  const isUsed = used === model.model;
  const use = () =>
    sendEdit(() => {
      const settings = page.project?.settings;
      return (
        settings && /** @type {Edit} */ ({ op: "settings", settings: { ...settings, model: model.model } })
      );
    });
  const check = async () => {
    try {
      await post("/models/check", { model: model.model });
      notify(`${model.name}: all files are there and whole.`);
    } catch (error) {
      notifyError(error);
    }
  };
  const remove = button(model.origin === "hub" ? "Delete files" : "Remove", () => confirmed(remove, forget));
  const forget = async () => {
    const freed = /** @type {number} */ (await post("/models/remove", { model: model.model }));
    notify(freed ? `${model.name} is deleted, ${size(freed)} freed.` : `${model.name} is off the list.`);
    await load();
  };
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
      model.origin !== "embedded" && button("Check", check),
      (model.origin === "hub" || model.origin === "added") && remove,
    ),
  );
}

/**
 * Asks once more before what cannot be undone.
 * @param {HTMLButtonElement} element
 * @param {() => Promise<void>} act
 */
function confirmed(element, act) {
  if (element.dataset.asked) {
    act().catch(notifyError);
    return;
  }
  element.dataset.asked = "yes";
  element.textContent = "Click again to do it";
}

/** @param {LibraryModel} model */
function facts(model) {
  const parameters = model.parameters >= 1e8 ? `${(model.parameters / 1e9).toFixed(1)} B parameters` : "";
  const known = [
    model.title,
    model.size ? size(model.size) : "",
    parameters,
    model.dtype,
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
  const least = model.needs.at(-1);
  if (!least) return model.origin === "embedded" ? "Fits every machine" : "What it needs is not known";
  if (fits) return `Fits this machine with the profile ${fits}`;
  const needed = `${memorySize(least.device)} of GPU memory`;
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
 * @param {RemoteModel} found
 * @param {() => void} done
 */
function foundItem(found, done) {
  const room = found.free > found.size;
  const download = async () => {
    const job = await sendToQueue("/models/download", { model: found.model });
    if (job === null) return;
    notify("The download is in the queue, with its progress. It goes on when this page is closed.");
    done();
  };
  return h(
    "div",
    { class: "model" },
    h("strong", {}, found.model.split("@")[0]),
    h("span", { class: "quiet" }, `Licence: ${found.licence ?? "not stated"}`),
    h(
      "span",
      { class: room ? "" : "field-error" },
      `${size(found.size)} at most; ${size(found.free)} of the disk are free`,
    ),
    h("div", { class: "row" }, button("Download", download, { class: "primary", disabled: !room })),
  );
}
