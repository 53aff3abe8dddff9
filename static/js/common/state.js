// The state of the page: the open project as the studio last answered it, the queue, what is selected and seen.
// Nothing here has to be kept; the studio's database is the truth.

export const page = {
  project: /** @type {ProjectState | null} */ (null),
  queue: /** @type {Queue} */ ({ paused: false, jobs: [] }),
  selected: /** @type {string[]} */ ([]), // ids of shots, the one clicked last at the end
  playhead: 0, // seconds into the cut
  playing: false,
  editing: /** @type {string | null} */ (null), // the shot whose caption is being typed
  hovered: /** @type {string | null} */ (null), // the shot under the pointer
  drifts: /** @type {Map<string, Drift[]>} */ (new Map()), // shot -> looks that differ in it
  inspecting: false, // whether the routing inspector is seen
  connected: true,
};

/** @type {Map<string, Set<() => void>>} */
const subscribers = new Map(); // by topic

/**
 * Calls back now, and whenever one of the topics changes.
 * @param {string} topics separated by spaces
 * @param {() => void} callback
 */
export function subscribe(topics, callback) {
  for (const topic of topics.split(" ")) {
    const callbacks = subscribers.get(topic) ?? new Set();
    subscribers.set(topic, callbacks.add(callback));
  }
  callback();
}

/** @param {string} topic */
export function publish(topic) {
  for (const callback of subscribers.get(topic) ?? []) callback();
}

/**
 * Shows a message for a few seconds.
 * @param {string} message
 * @param {"info" | "error"} kind
 */
export function notify(message, kind = "info") {
  window.dispatchEvent(new CustomEvent("studio:notice", { detail: { message, kind } }));
}

/** @param {unknown} error */
export const notifyError = (error) => notify(error instanceof Error ? error.message : String(error), "error");

/** The open project, for code that runs only while there is one. */
export function openProjectState() {
  if (!page.project) throw new Error("No project is open.");
  return page.project;
}

/** @param {string | null | undefined} project */
export const isOpen = (project) => page.project !== null && page.project.id === project;

/** @returns {Shot[]} */
export const shots = () => page.project?.shots ?? [];

/** @param {string | null | undefined} id */
export const shotById = (id) => shots().find((shot) => shot.id === id) ?? null;

/** The index of a shot in the storyboard, -1 where it is gone. @param {string | null | undefined} id */
export const shotIndex = (id) => shots().findIndex((shot) => shot.id === id);

/** The selected shot; of several the one that was clicked last. */
export const selectedShot = () => shotById(page.selected.at(-1));

/** The take of a shot that is in the cut. @param {Shot | null} shot */
export const chosenTake = (shot) => shot?.takes.find((take) => take.id === shot.take) ?? null;

/** The take of a shot that is played: while finals are worked on, its draft where there is no final. @param {Shot | null | undefined} shot */
export function shownTake(shot) {
  const id = shot?.take ?? (page.project?.lane === "final" ? shot?.other_take : null);
  return shot?.takes.find((take) => take.id === id) ?? null;
}

/** The job that renders a shot of the open project in its lane, or waits to. @param {string} shot */
export const activeJob = (shot) =>
  page.queue.jobs.find(
    (job) =>
      isOpen(job.project) &&
      job.shot === shot &&
      job.lane === page.project?.lane &&
      ["running", "queued"].includes(job.state),
  ) ?? null;

/** The last job of a shot in its lane, where it failed and was not tried again since. @param {string} shot */
export const failedJob = (shot) =>
  page.queue.jobs.find(
    (job) =>
      isOpen(job.project) &&
      job.shot === shot &&
      job.lane === page.project?.lane &&
      !job.superseded &&
      ["failed", "parked"].includes(job.state),
  ) ?? null;

/** The shot under a moment of the cut; skipped shots have none. @param {number} seconds */
export function shotAt(seconds) {
  const shown = shots().filter((shot) => !shot.skip);
  return shown.find((shot) => seconds < shot.begins + shot.seconds - 1e-6) ?? shown.at(-1) ?? null;
}

/** Shows a state of the open project, or another project. @param {ProjectState} state */
export function applyState(state) {
  if (!isOpen(state.id)) {
    Object.assign(page, { selected: [], playhead: 0, editing: null, hovered: null, drifts: new Map() });
  }
  const index = Math.max(
    0,
    shots().findIndex((shot) => page.selected.includes(shot.id)),
  );
  page.project = state;
  page.selected = page.selected.filter(shotById);
  const next = state.shots[Math.min(index, state.shots.length - 1)];
  if (!page.selected.length && next) page.selected = [next.id];
  page.playhead = Math.min(page.playhead, state.seconds);
  publish("project");
  publish("selection");
}

/** @param {string[]} ids */
export function select(ids) {
  page.selected = ids;
  publish("selection");
}

/** @param {number} seconds */
export function seek(seconds) {
  page.playhead = Math.max(0, Math.min(seconds, page.project?.seconds ?? 0));
  publish("playhead");
}
