// What the page knows: the project as the studio last told it, the queue, and what is looked at.
// Nothing here matters beyond the page; the studio's database is the state.

import { get, post } from "./api.js";

const POLL = 500;
const ASIDE = 2000; // where the page is seen and somebody works elsewhere

export const view = {
  project: null, // the project's state, see GET /api/projects/{id}
  queue: { paused: false, jobs: [] },
  selected: [], // ids of shots, the one clicked last at the end
  playhead: 0, // seconds into the cut
  playing: false,
  editing: null, // the shot whose caption is being typed
  connected: true,
  hovered: null, // the shot under the pointer
  drifted: new Map(), // shot -> what looks different in it, see GET …/consistency
  inspecting: false, // whether the routing inspector is seen
};

const listeners = new Map(); // topic -> callbacks
const known = new Map(); // project -> its latest revision and title that were answered
let chain = Promise.resolve(); // edits, one after the other
let requests = 0; // for a project's state, so far
let applied = 0; // the request whose answer is shown
let switches = 0; // how often a project was opened

export function on(topics, callback) {
  for (const topic of topics.split(" ")) {
    if (!listeners.has(topic)) listeners.set(topic, new Set());
    listeners.get(topic).add(callback);
  }
  callback();
}

export function tell(topic) {
  for (const callback of listeners.get(topic) ?? []) callback();
}

export function notify(message, kind = "info") {
  window.dispatchEvent(new CustomEvent("studio:notice", { detail: { message, kind } }));
}

export const shots = () => view.project?.shots ?? [];
export const shotOf = (id) => shots().find((shot) => shot.id === id) ?? null;
export const current = () => shotOf(view.selected.at(-1)) ?? null;
export const jobOf = (shot) =>
  view.queue.jobs.find(
    (job) => job.project === view.project?.id && job.shot === shot && ["running", "queued"].includes(job.state),
  ) ?? null;

export const isOpen = (project) => view.project?.id === project;

// Shows a later state of the open project.
function applyState(state) {
  const index = Math.max(0, shots().findIndex((shot) => view.selected.includes(shot.id)));
  view.project = state;
  view.selected = view.selected.filter(shotOf);
  if (!view.selected.length && state.shots.length) view.selected = [state.shots[Math.min(index, state.shots.length - 1)].id];
  view.playhead = Math.min(view.playhead, state.seconds);
  tell("project");
  tell("selection");
}

// Asks for the state of a project and shows the answer, unless another project is open by then or a later state
// of this one is shown already. Returns whether the project is still open.
async function update(project, ask) {
  const request = ++requests;
  const state = await ask();
  note(state);
  if (!isOpen(project)) return false;
  const { revision } = view.project;
  if (state.revision > revision || (state.revision === revision && request > applied)) {
    applied = request;
    applyState(state);
  }
  return true;
}

function note({ id, revision, title }) {
  if (revision >= (known.get(id)?.revision ?? 0)) known.set(id, { revision, title });
}

export function select(ids) {
  view.selected = ids;
  tell("selection");
}

export function seek(seconds) {
  view.playhead = Math.max(0, Math.min(seconds, view.project?.seconds ?? 0));
  tell("playhead");
}

// The shot under a moment of the cut; skipped shots have none.
export function shotAt(seconds) {
  const shown = shots().filter((shot) => !shot.skip);
  return shown.find((shot) => seconds < shot.begins + shot.seconds - 1e-6) ?? shown.at(-1) ?? null;
}

// One edit at a time, each with the revision it was made on: answers may overtake one another. It belongs to the
// project that was open when it was made, whatever is open when its turn comes. Errors go to `refused`.
function queued(project, work, refused = (words) => notify(words, "error")) {
  const next = chain.then(work, work);
  chain = next.catch(() => {});
  return next.catch(async (error) => {
    if (isOpen(project)) refused(error.message);
    else notify(`${known.get(project)?.title ?? "Another project"}: ${error.message}`, "error");
    if (error.status === 409 || error.status === 404) await refresh(project).catch(() => {});
    return null;
  });
}

// Carries out an edit, or what makes one when its turn has come: after those before it. Answers the project's
// state, or null where nothing was changed or another project is open by now.
export function edit(command, refused) {
  const project = view.project?.id;
  return queued(
    project,
    async () => {
      if (typeof command === "function" && !isOpen(project)) return leftOut();
      const made = typeof command === "function" ? command() : command;
      if (!made) return null;
      const before = new Set(isOpen(project) ? shots().map((shot) => shot.id) : []);
      const body = { base: known.get(project).revision, edit: made };
      if (!(await update(project, () => post(`/projects/${project}/edits`, body)))) return null;
      if (made.op === "duplicate") select(shots().map((shot) => shot.id).filter((id) => !before.has(id)));
      return view.project;
    },
    refused,
  );
}
export const undo = () => turn("undo", "Undone");
export const redo = () => turn("redo", "Redone");

function turn(direction, word) {
  const project = view.project?.id;
  return queued(project, async () => {
    if (!isOpen(project)) return leftOut();
    const what = view.project[direction];
    if (!what) return null;
    const body = { base: known.get(project).revision };
    if (!(await update(project, () => post(`/projects/${project}/${direction}`, body)))) return null;
    notify(`${word}: ${what}`);
    return view.project;
  });
}

function leftOut() {
  notify("The last command was left out, because another project was opened before its turn.");
  return null;
}

export const order = (route, body) =>
  queued(view.project?.id, async () => {
    const answer = await post(route, body);
    await pulse();
    return answer;
  });
export const render = (wanted, project = view.project.id) => order(`/projects/${project}/render`, wanted);
export const roll = (shot, count) => order(`/projects/${view.project.id}/shots/${shot}/reroll`, { count });

// Opens a project, unless another one is asked for before the answer is there.
export async function open(id) {
  const turn = ++switches;
  const request = ++requests;
  const state = await post(`/projects/${id}/open`);
  note(state);
  if (turn !== switches) return;
  applied = request;
  if (!isOpen(id)) Object.assign(view, { selected: [], playhead: 0, editing: null, hovered: null, drifted: new Map() });
  history.replaceState(null, "", `#${id}`);
  applyState(state);
  await pulse();
}

// Opens the project that `work` makes and answers the id or the state of; the one that was opened meanwhile stays.
export async function openMade(work, late = ({ title }) => notify(`“${title}” is ready; open it from the project menu.`)) {
  const turn = ++switches;
  const made = await work();
  if (turn === switches) await open(made.id);
  else late(made);
}

export async function refresh(project = view.project?.id) {
  if (project && isOpen(project)) await update(project, () => get(`/projects/${project}`));
}

export const listProjects = () => get("/projects");

let pulses = 0; // asked for
let latest = 0; // the one whose queue is shown

export async function pulse() {
  const project = view.project?.id ?? "";
  const asked = ++pulses;
  const beat = await get(`/projects/${encodeURIComponent(project)}/status`);
  if (beat.queue && asked > latest) {
    latest = asked;
    if (JSON.stringify(beat.queue) !== JSON.stringify(view.queue)) {
      view.queue = beat.queue;
      tell("queue");
    }
  }
  if (isOpen(project) && beat.stamp !== view.project.stamp) await refresh(project);
}

let next = null; // the poll that waits, none while one is under way

async function poll() {
  next = null;
  if (document.visibilityState === "visible" && view.project) {
    const project = view.project.id;
    try {
      await pulse();
      if (!view.connected) notify("The studio is back.");
      setConnected(true);
    } catch (error) {
      if (error.status === 0) setConnected(false);
      else if (error.status === 404 && isOpen(project)) await begin().catch((failure) => notify(failure.message, "error"));
    }
  }
  next = setTimeout(poll, document.hasFocus() ? POLL : ASIDE);
}

window.addEventListener("focus", () => next && (clearTimeout(next), poll()));

function setConnected(connected) {
  if (connected === view.connected) return;
  view.connected = connected;
  tell("connection");
}

const begin = () =>
  openMade(async () => {
    const listed = (await listProjects()).filter((project) => project.trashed === null);
    const wanted = location.hash.slice(1);
    return listed.find((project) => project.id === wanted) ?? listed[0] ?? (await post("/projects", { title: "Untitled" }));
  }, () => {});

let begun = null;

// Opens the project of the page's address, or the one opened last; once, whoever asks first.
export function start() {
  begun ??= begin()
    .catch((error) => notify(error.message, "error"))
    .then(() => poll());
  return begun;
}

window.addEventListener("studio:refresh", () => refresh().catch(() => {}));
