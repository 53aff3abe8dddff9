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
};

const listeners = new Map(); // topic -> callbacks
let chain = Promise.resolve();

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

export function take(state) {
  const place = Math.max(0, shots().findIndex((shot) => view.selected.includes(shot.id)));
  view.project = state;
  view.selected = view.selected.filter(shotOf);
  if (!view.selected.length && state.shots.length) view.selected = [state.shots[Math.min(place, state.shots.length - 1)].id];
  view.playhead = Math.min(view.playhead, state.seconds);
  tell("project");
  tell("selection");
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

// One command at a time, each with the revision it was made on: answers may overtake one another.
// What hinders it is told to `refused`.
function queued(work, refused = (words) => notify(words, "error")) {
  const next = chain.then(work, work);
  chain = next.catch(() => {});
  return next.catch(async (error) => {
    refused(error.message);
    if (error.status === 409 || error.status === 404) await refresh();
    return null;
  });
}

const path = (rest) => `/projects/${view.project.id}${rest}`;

// An edit, or what makes one when its turn has come: after those before it.
export const edit = (command, refused) =>
  queued(async () => {
    const made = typeof command === "function" ? command() : command;
    if (!made) return null;
    const before = new Set(shots().map((shot) => shot.id));
    const state = await post(path("/edits"), { base: view.project.revision, edit: made });
    if (made.op === "duplicate") view.selected = state.shots.map((shot) => shot.id).filter((id) => !before.has(id));
    take(state);
    return state;
  }, refused);
export const undo = () => queued(async () => turn("/undo", "Undone", view.project.undo));
export const redo = () => queued(async () => turn("/redo", "Redone", view.project.redo));

async function turn(route, word, what) {
  if (!what) return null;
  take(await post(path(route), { base: view.project.revision }));
  notify(`${word}: ${what}`);
  return view.project;
}

export const order = (route, body) =>
  queued(async () => {
    const answer = await post(route, body);
    await pulse();
    return answer;
  });
export const render = (wanted) => order(path("/render"), wanted);
export const roll = (shot, count) => order(path(`/shots/${shot}/roll`), { count });

export async function open(id) {
  const state = await post(`/projects/${id}/open`);
  view.selected = [];
  view.playhead = 0;
  history.replaceState(null, "", `#${id}`);
  take(state);
  await pulse();
}

export async function refresh() {
  if (view.project) take(await get(`/projects/${view.project.id}`));
}

export const listProjects = () => get("/projects");

export async function pulse() {
  const known = view.project?.id ?? "";
  const beat = await get(`/pulse?project=${encodeURIComponent(known)}`);
  if (beat.queue && JSON.stringify(beat.queue) !== JSON.stringify(view.queue)) {
    view.queue = beat.queue;
    tell("queue");
  }
  if (known !== (view.project?.id ?? "") || beat.stamp === view.project?.stamp) return;
  const state = await get(`/projects/${known}`);
  if (state.id === view.project?.id && state.revision >= view.project.revision) take(state);
}

let next = null; // the poll that waits, none while one is under way

async function poll() {
  next = null;
  if (document.visibilityState === "visible" && view.project) {
    try {
      await pulse();
      if (!view.connected) notify("The studio is back.");
      setConnected(true);
    } catch (error) {
      if (error.status === 0) setConnected(false);
      else if (error.status === 404) await begin();
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

async function begin() {
  const listed = (await listProjects()).filter((project) => project.trashed === null);
  const wanted = location.hash.slice(1);
  const found = listed.find((project) => project.id === wanted) ?? listed[0];
  if (found) await open(found.id);
  else take(await post("/projects", { title: "Untitled" }));
}

let begun = null;

// Opens the project of the page's address, or the one opened last; once, whoever asks first.
export function start() {
  begun ??= begin()
    .catch((error) => notify(error.message, "error"))
    .then(() => poll());
  return begun;
}

window.addEventListener("studio:refresh", () => refresh().catch(() => {}));
