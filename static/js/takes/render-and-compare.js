// Renders a shot at the same seed with other steering, and compares the new take with the old one.

import { renderShots, sendEdit } from "../common/commands.js";
import { focusedField } from "../common/dom.js";
import { isOpen, notify, openProjectState, page, shotById, subscribe } from "../common/state.js";
import { compareTakes } from "./compare.js";

const SAME = 3000; // ms after a finished render that brought no other take

/** @type {{ project: string, shot: string, take: string | null, known: Set<string>, job: number } | null} */
let awaited = null;

/**
 * @param {Shot} shot
 * @param {Edit | null} edit the change of steering, if it is still to be made
 */
export async function renderAndCompare(shot, edit = null) {
  const project = openProjectState().id;
  if (edit && !(await sendEdit(edit))) return;
  const jobs = await renderShots({ shots: [shot.id] }, project);
  if (!jobs) return;
  const known = new Set(shot.takes.map((take) => take.id));
  awaited = { project, shot: shot.id, take: shot.take, known, job: jobs[0] };
}

subscribe("project queue", async () => {
  if (!awaited) return;
  const request = awaited;
  const job = page.queue.jobs.find((other) => other.id === request.job);
  if (!job || !isOpen(request.project) || ["failed", "cancelled", "parked"].includes(job.state)) {
    awaited = null;
    return;
  }
  if (job.state !== "done") return;
  const shot = shotById(request.shot);
  const made = shot?.takes.find((take) => !request.known.has(take.id))?.id ?? shot?.take; // it need not be chosen
  if (!shot || !made || made === request.take) {
    setTimeout(() => giveUp(request), SAME);
    return;
  }
  awaited = null;
  await fieldLeft();
  const before = shot.takes.find((take) => take.id === request.take && !take.discarded);
  if (isOpen(request.project) && before) compareTakes(shot, [before.id, made]);
});

/** @param {typeof awaited} request */
function giveUp(request) {
  if (awaited !== request) return;
  awaited = null;
  notify("The render gave the same take: the change has no effect on this shot.");
}

/** Waits until nobody types: a dialog that opens would take the keys. */
async function fieldLeft() {
  const field = focusedField();
  if (!field) return;
  notify("Both takes are ready to compare. They are shown when you leave the text field.");
  await new Promise((done) => field.addEventListener("blur", done, { once: true }));
}
