// Offers the models on this machine in the settings' model field, which takes any other name as well.

import { get } from "../common/api.js";
import { h } from "../common/dom.js";
import { notifyError } from "../common/state.js";

const choices = h("datalist", { id: "model-choices" });

/** Offers them in a field; read anew each time. @param {HTMLInputElement} field */
export function offerModels(field) {
  if (!choices.isConnected) document.body.append(choices);
  field.setAttribute("list", choices.id);
  fillChoices().catch(notifyError);
}

async function fillChoices() {
  const { models } = /** @type {LibraryState} */ (await get("/models"));
  const usable = models.filter(({ model }) => model.model !== null && model.problem === null);
  choices.replaceChildren(
    ...usable.map(({ model }) => h("option", { value: model.model, label: `${model.name}: ${model.title}` })),
  );
}
