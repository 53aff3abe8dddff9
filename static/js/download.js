// Files that routes answer.

import { Refusal } from "./api.js";

// Saves what a route answers as a file, under the name it gives.
export async function download(href) {
  const answer = await fetch(href);
  if (!answer.ok) throw new Refusal((await answer.json().catch(() => null))?.message ?? `The studio answered ${answer.status}.`, answer.status);
  const name = decodeURIComponent(answer.headers.get("content-disposition")?.match(/''(.+)$/)?.[1] ?? "file");
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
