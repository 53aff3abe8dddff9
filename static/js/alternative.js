// The same shot at the same seed, steered otherwise: rendered as a new take, and shown beside the old one.

import { typedIn } from "./dom.js";
import { edit, isOpen, notify, on, render, shotOf, view } from "./store.js";

const SAME = 3000; // ms after which a finished render that brought no other take has brought the same

let awaited = null; // {shot, take, known, job}: the take that is to be compared with the one that the job makes

export async function alternative(shot, command = null) {
  const project = view.project.id;
  if (command && !(await edit(command))) return;
  const jobs = await render({ shots: [shot.id] }, project);
  awaited = jobs && { project, shot: shot.id, take: shot.take, known: new Set(shot.takes.map((take) => take.id)), job: jobs[0] };
}

on("project queue", async () => {
  if (!awaited) return;
  const job = view.queue.jobs.find((other) => other.id === awaited.job);
  if (!job || !isOpen(awaited.project) || ["failed", "cancelled", "parked"].includes(job.state)) {
    awaited = null;
    return;
  }
  if (job.state !== "done") return;
  const shot = shotOf(awaited.shot);
  const made = shot?.takes.find((take) => !awaited.known.has(take.id))?.id ?? shot?.take; // it need not be chosen
  if (!shot || made === awaited.take) {
    const same = awaited;
    setTimeout(() => awaited === same && ((awaited = null), notify("The same take came out: what was changed decides nothing here.")), SAME);
    return;
  }
  const { project, take: left } = awaited;
  awaited = null;
  await typed();
  if (isOpen(project) && shot.takes.some((take) => take.id === left && !take.discarded)) (await import("./compare.js")).compare(shot, [left, made]);
});

// Once nobody is typing: a sheet that opens would take the words.
async function typed() {
  const field = typedIn();
  if (!field) return;
  notify("Both takes can be compared: they are shown once you have finished typing.");
  await new Promise((done) => field.addEventListener("blur", done, { once: true }));
}

// The edit that lets somebody remember one appearance alone.
export function mending(shot, { pin, bans }) {
  const others = (list) => list.filter((target) => target !== pin && !bans.includes(target));
  const boosts = Object.fromEntries(Object.entries(shot.boosts).filter(([target]) => !bans.includes(target)));
  return { op: "steer", shot: shot.id, pins: [...others(shot.pins), pin], bans: [...others(shot.bans), ...bans], boosts };
}
