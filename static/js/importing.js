// Files that become projects: storyboards, bundles and films, picked in the menu or dropped on the page.

import { post } from "./api.js";
import { notify, openMade } from "./store.js";

export const ACCEPTED = ".yaml,.yml,.mocz,.mp4,.m4v,.mov";

export async function importFile(file) {
  const name = file.name.toLowerCase();
  if (name.endsWith(".mocz")) return post("/projects/bundle", file);
  if (/\.(mp4|m4v|mov)$/.test(name)) return post("/projects/film", file);
  return post(`/projects/import?name=${encodeURIComponent(file.name.slice(0, 200))}`, await file.text());
}

// Without this the browser would leave the page for the file that is dropped on it.
export function acceptDrops(target = document) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  target.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  target.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    try {
      for (const file of event.dataTransfer.files) await openMade(() => importFile(file));
    } catch (error) {
      notify(error.message, "error");
    }
  });
}
