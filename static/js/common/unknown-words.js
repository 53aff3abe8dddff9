// Words that the model does not know: underlined where they are typed, and named below.

import { h } from "./dom.js";

/**
 * The parts of a text, unknown words underlined.
 * @param {string} text
 * @param {UnknownSpan[]} spans
 */
export function underlined(text, spans) {
  const letters = [...text];
  /** @type {(Node | string)[]} */
  const parts = [];
  let at = 0;
  for (const { start, stop, suggestion } of spans) {
    parts.push(letters.slice(at, start).join(""));
    const hint = suggestion ? `; did you mean “${suggestion}”?` : "";
    const title = `The model does not know this word${hint}`;
    parts.push(h("span", { class: "unknown", title }, letters.slice(start, stop).join("")));
    at = stop;
  }
  return [...parts, letters.slice(at).join("")];
}

/**
 * A sentence that names the unknown words of texts; null where there are none.
 * @param {[text: string, spans: UnknownSpan[]][]} texts
 */
export function unknownWords(texts) {
  const words = texts.flatMap(([text, spans]) =>
    spans.map(({ start, stop, suggestion }) => ({ word: [...text].slice(start, stop).join(""), suggestion })),
  );
  if (!words.length) return null;
  const named = words.map(({ word, suggestion }, index) => [
    index ? ", " : "",
    h("strong", {}, word),
    suggestion ? ` (did you mean ${suggestion}?)` : "",
  ]);
  const end = ` and ignores ${words.length > 1 ? "them" : "it"}.`;
  return h("p", { class: "unknown-words" }, "The model does not know ", named.flat(), end);
}
