// Sending a video to the studio, with its progress.

import { failure } from "../common/api.js";

/**
 * Uploads a video; answers its id. `progress` gets the share that is sent.
 * @param {File} file
 * @param {(share: number) => void} progress
 * @returns {Promise<string>}
 */
export function uploadVideo(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/footage/upload?name=${encodeURIComponent(file.name.slice(-200))}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("error", () => reject(failure(0, { message: "The upload broke off." })));
    request.addEventListener("load", () => {
      const answer = parse(request.responseText);
      if (request.status === 201) resolve(answer);
      else reject(failure(request.status, answer));
    });
    request.send(file);
  });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
