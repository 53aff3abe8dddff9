// What the routing inspector shows: the view, and the choice of layer, heads, steps and source shot.

/** @typedef {"story" | "shot" | "heads" | "drift"} ViewName */

const WHOLE = { layer: "", head: "", group: "", source: /** @type {string | null} */ (null) };

export const selection = {
  view: /** @type {ViewName} */ ("story"),
  logarithmic: true,
  ...WHOLE, // indices as text, "" for the average; `source` is the only take whose chunks are shown
};

/** Whether something but the average of everything is chosen. */
export const isNarrowed = () =>
  Boolean(selection.layer || selection.head || selection.group || selection.source);

export const showWhole = () => Object.assign(selection, WHOLE);

/** The selection as a query of the API. */
export function query() {
  const { layer, head, group, source, logarithmic } = selection;
  const values = new URLSearchParams({ log: String(logarithmic) });
  for (const [name, value] of Object.entries({ layer, head, group, source }))
    if (value) values.set(name, value);
  return values;
}
