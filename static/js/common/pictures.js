// Pictures of a project: their addresses, and adding one that the user chooses.

import { post } from "./api.js";
import { notifyError, openProjectState, page } from "./state.js";

export const PICTURE_TYPES = "image/png,image/jpeg,image/webp";

/**
 * Where a picture of the open project is read, if the studio has it.
 * @param {string} project
 * @param {string | null} picture "picture:DIGEST", or anything else
 */
export function pictureUrl(project, picture) {
  const digest = picture?.match(/^picture:(.*)/)?.[1];
  return digest && !openProjectState().missing_pictures[picture ?? ""]
    ? `/api/projects/${project}/pictures/${digest}`
    : null;
}

/**
 * Adds the picture that is chosen in a file field to the project, unless another one is open by then.
 * @param {HTMLInputElement} file
 * @param {(picture: string) => unknown} use
 */
export function choosePicture(file, use) {
  file.addEventListener("change", async () => {
    if (!file.files?.[0]) return;
    const project = openProjectState().id;
    try {
      const { digest } = await post(`/projects/${project}/pictures`, file.files[0]);
      if (page.project?.id === project) await use(`picture:${digest}`);
    } catch (error) {
      notifyError(error);
    }
    file.value = ""; // the same file may be chosen again
  });
}
