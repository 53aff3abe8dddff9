// Commands to the studio: edits, undo and redo, renders and the queue. They are sent one at a time, since requests
// may overtake each other, and belong to the project that was open when they were given.

import { post, RequestError } from "./api.js";
import { checkForChanges, latestOf, refresh, updateState } from "./project.js";
import { isOpen, notify, openProjectState, page, select, shots } from "./state.js";

const CONFLICT = 409; // status of an answer: the project was changed elsewhere

/** @type {Promise<unknown>} */
let last = Promise.resolve();

/**
 * Runs a command after those before it; null where it failed. Error messages go to `refused`.
 * @template T
 * @param {string | undefined} project
 * @param {() => Promise<T | null>} command
 * @param {(message: string) => void} [refused]
 * @returns {Promise<T | null>}
 */
function inTurn(project, command, refused = (message) => notify(message, "error")) {
  const running = last.then(command, command);
  last = running.catch(() => {});
  return running.catch(async (error) => {
    if (!project || isOpen(project)) refused(error.message);
    else notify(`${latestOf(project).title}: ${error.message}`, "error");
    const stale = error instanceof RequestError && [404, CONFLICT].includes(error.status);
    if (stale) await refresh(project).catch(() => {});
    return null;
  });
}

function leaveOut() {
  notify("The last command was left out, because another project was opened before its turn.");
  return null;
}

const TRIES = 5;

/**
 * Sends an edit, or one that is made when its turn has come, and made again where the project was changed elsewhere.
 * Answers the project's state; null where nothing was changed, or where another project is open by now.
 * @param {Edit | (() => Edit | null | undefined | false)} edit
 * @param {(message: string) => void} [refused]
 */
export function sendEdit(edit, refused) {
  const project = openProjectState().id;
  const attempt = async () => {
    if (typeof edit === "function" && !isOpen(project)) return leaveOut();
    const made = typeof edit === "function" ? edit() : edit;
    if (!made) return null;
    const before = new Set(shots().map((shot) => shot.id));
    const body = { base: latestOf(project).revision, edit: made };
    if (!(await updateState(project, () => post(`/projects/${project}/edits`, body)))) return null;
    const added = shots().filter((shot) => !before.has(shot.id));
    if (made.op === "duplicate") select(added.map((shot) => shot.id));
    return page.project;
  };
  const command = async (left = typeof edit === "function" ? TRIES : 1) => {
    try {
      return await attempt();
    } catch (error) {
      if (left <= 1 || !(error instanceof RequestError) || error.status !== CONFLICT) throw error;
      await refresh(project);
      return command(left - 1);
    }
  };
  return inTurn(project, () => command(), refused);
}

/**
 * Saves a field of a form as it was typed; the studio keeps what was changed elsewhere meanwhile.
 * @param {string} project
 * @param {string} name
 * @param {{ value: unknown, seen: unknown[] }} field
 * @param {(message: string) => void} refused
 */
export const sendField = (project, name, field, refused) =>
  inTurn(
    project,
    () => updateState(project, () => post(`/projects/${project}/fields/${name}`, field)),
    refused,
  );

export const undo = () => stepHistory("undo", "Undone");
export const redo = () => stepHistory("redo", "Redone");

/**
 * @param {"undo" | "redo"} direction
 * @param {string} word
 */
function stepHistory(direction, word) {
  const project = openProjectState().id;
  return inTurn(project, async () => {
    if (!isOpen(project)) return leaveOut();
    const name = openProjectState()[direction];
    if (!name) return null;
    const body = { base: latestOf(project).revision };
    const shown = await updateState(project, () => post(`/projects/${project}/${direction}`, body));
    if (shown) notify(`${word}: ${name}`);
    return page.project;
  });
}

/**
 * Sends a command to the queue; answers what the studio does.
 * @param {string} route
 * @param {unknown} body
 */
export const sendToQueue = (route, body = {}) =>
  inTurn(page.project?.id, async () => {
    const answer = await post(route, body);
    await checkForChanges();
    return answer;
  });

/**
 * @param {{ scope: "due" | "all" } | { shots: string[] }} request
 * @param {string} project
 * @returns {Promise<number[] | null>} the jobs
 */
export const renderShots = (request, project = openProjectState().id) =>
  sendToQueue(`/projects/${project}/render`, request);

/**
 * Renders takes of a shot with new seeds.
 * @param {string} shot
 * @param {number} count
 */
export const renderVariations = (shot, count) =>
  sendToQueue(`/projects/${openProjectState().id}/shots/${shot}/reroll`, { count });
