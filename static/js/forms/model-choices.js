// Offers the models on this machine in the settings' model field, which takes any other name as well.

import { get } from "../common/api.js";
import { h } from "../common/dom.js";
import { notifyError } from "../common/state.js";

const FIELDS = "#form-model input, #form-draft_model input";

export function offerModels() {
  const choices = h("datalist", { id: "model-choices" });
  document.body.append(choices);
  document.addEventListener("focusin", ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !target.matches(FIELDS)) return;
    target.setAttribute("list", "model-choices");
    fillChoices(choices).catch(notifyError);
  });
}

/** @param {HTMLDataListElement} choices */
async function fillChoices(choices) {
  const { models } = /** @type {LibraryState} */ (await get("/models"));
  const usable = models.filter(({ model }) => model.model !== null && model.problem === null);
  choices.replaceChildren(
    ...usable.map(({ model }) => h("option", { value: model.model, label: `${model.name}: ${model.title}` })),
  );
}
