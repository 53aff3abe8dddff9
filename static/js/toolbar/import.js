// Importing files as new projects, chosen in the project menu or dropped on the page.

import { post } from "../common/api.js";
import { openResult } from "../common/project.js";
import { notify, notifyError } from "../common/state.js";

export const FILE_TYPES = [".yaml", ".yml", ".mocz", ".mp4", ".m4v", ".mov"];

/** @param {File} file */
export async function importFile(file) {
  const name = file.name.toLowerCase();
  if (!FILE_TYPES.some((type) => name.endsWith(type))) {
    notify(`“${file.name}” cannot be imported. Choose a file of type ${FILE_TYPES.join(", ")}.`, "error");
    return;
  }
  const imported = async () => {
    const made = /** @type {ProjectState} */ (await upload(file, name));
    for (const missing of Object.values(made.missing_pictures)) notify(`Imported, but ${missing}.`, "error");
    return made;
  };
  await openResult(imported).catch(notifyError);
}

/**
 * @param {File} file
 * @param {string} name
 */
async function upload(file, name) {
  if (name.endsWith(".mocz")) return post("/projects/bundle", file);
  if (/\.(mp4|m4v|mov)$/.test(name)) return post("/projects/film", file);
  return post(`/projects/import?name=${encodeURIComponent(file.name.slice(0, 200))}`, await file.text());
}

/** Imports files that are dropped on the page; without this the browser would open them instead. */
export function acceptDrops() {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  window.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    for (const file of event.dataTransfer?.files ?? []) await importFile(file);
  });
}
