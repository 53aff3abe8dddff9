// Which project is open, and its latest state. Answers arrive in any order: one that belongs to another project,
// or is older than what is shown, is dropped.

import { get, post, RequestError } from "./api.js";
import { applyState, isOpen, notify, notifyError, page, publish } from "./state.js";

const POLL = 500; // ms
const POLL_UNFOCUSED = 2000; // ms, where the page is seen but another window has the focus

/** @type {Map<string, { revision: number, title: string }>} */
const latest = new Map(); // by project, as answered last
let stateRequests = 0; // sent so far
let shownRequest = 0; // the one whose answer is shown
let queueRequests = 0;
let shownQueueRequest = 0;
let openings = 0; // how often a project was asked for

/** The latest revision and title of a project, open or not. @param {string} project */
export const latestOf = (project) => latest.get(project) ?? { revision: 0, title: "Another project" };

/** @param {ProjectState} state */
function remember({ id, revision, title }) {
  if (revision >= latestOf(id).revision) latest.set(id, { revision, title });
}

/**
 * Asks for the state of a project and shows it, unless another project is open by then or a later state is shown.
 * Returns whether the project is still open.
 * @param {string} project
 * @param {() => Promise<ProjectState>} request
 */
export async function updateState(project, request) {
  const number = ++stateRequests;
  const state = await request();
  remember(state);
  if (!page.project || !isOpen(project)) return false;
  const { revision } = page.project;
  if (state.revision > revision || (state.revision === revision && number > shownRequest)) {
    shownRequest = number;
    applyState(state);
  }
  return true;
}

/** Reads a project's state again, if it is open. @param {string | undefined} project */
export async function refresh(project = page.project?.id) {
  if (project && isOpen(project)) await updateState(project, () => get(`/projects/${project}`));
}

/** @returns {Promise<ListedProject[]>} */
export const listProjects = () => get("/projects");

/** Opens a project, unless another one is asked for before the answer arrives. @param {string} id */
export async function openProject(id) {
  const opening = ++openings;
  const number = ++stateRequests;
  const state = await post(`/projects/${id}/open`);
  remember(state);
  if (opening !== openings) return;
  shownRequest = number;
  history.replaceState(null, "", `#${id}`);
  applyState(state);
  await checkForChanges();
}

/**
 * Opens the project that a request answers. If another one is opened meanwhile, that one stays and `late` is told.
 * @param {() => Promise<{ id: string, title: string }>} request
 * @param {(made: { id: string, title: string }) => void} late
 */
export async function openResult(
  request,
  late = ({ title }) => notify(`“${title}” is ready. Open it from the project menu.`),
) {
  const opening = ++openings;
  const made = await request();
  if (opening === openings) await openProject(made.id);
  else late(made);
}

/** Reads the queue, and the project's state where it has changed. */
export async function checkForChanges() {
  const project = page.project?.id;
  if (!project) return;
  const number = ++queueRequests;
  const { stamp, queue } = await get(`/projects/${project}/status`);
  if (number > shownQueueRequest) {
    shownQueueRequest = number;
    if (JSON.stringify(queue) !== JSON.stringify(page.queue)) {
      page.queue = queue;
      publish("queue");
    }
  }
  if (isOpen(project) && stamp !== page.project?.stamp) await refresh(project);
}

let timer = 0; // 0 while a request is under way

async function poll() {
  timer = 0;
  if (document.visibilityState === "visible" && page.project) {
    const project = page.project.id;
    try {
      await checkForChanges();
      if (!page.connected) notify("Connected to the studio again.");
      setConnected(true);
    } catch (error) {
      const status = error instanceof RequestError ? error.status : null;
      if (status === 0) setConnected(false);
      else if (status === 404 && isOpen(project)) await openFirst().catch(notifyError);
    }
  }
  timer = setTimeout(poll, document.hasFocus() ? POLL : POLL_UNFOCUSED);
}

window.addEventListener("focus", () => {
  if (!timer) return;
  clearTimeout(timer);
  poll();
});

/** @param {boolean} connected */
function setConnected(connected) {
  if (connected === page.connected) return;
  page.connected = connected;
  publish("connection");
}

/** Opens the project of the page's address, else the one opened last, else a new one. */
function openFirst() {
  const find = async () => {
    const listed = (await listProjects()).filter((project) => project.trashed === null);
    const wanted = listed.find((project) => project.id === location.hash.slice(1));
    return wanted ?? listed[0] ?? (await post("/projects", { title: "Untitled" }));
  };
  return openResult(find, () => {});
}

/** @type {Promise<void> | null} */
let started = null;

/** Opens the first project and begins to poll; every panel calls it, the first call counts. */
export function start() {
  started ??= openFirst().catch(notifyError).then(poll);
  return started;
}
