// Saving what the API answers as a file.

import { failure } from "./api.js";

/**
 * Saves the answer under the name that it gives; an error is thrown, not saved.
 * @param {string} href
 */
export async function download(href) {
  const answer = await fetch(href);
  if (!answer.ok) throw failure(answer.status, await answer.json().catch(() => null));
  const name = answer.headers.get("content-disposition")?.match(/''(.+)$/)?.[1] ?? "file";
  const url = URL.createObjectURL(await answer.blob());
  Object.assign(document.createElement("a"), { href: url, download: decodeURIComponent(name) }).click();
  URL.revokeObjectURL(url);
}
