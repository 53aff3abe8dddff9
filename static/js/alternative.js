// The same shot at the same seed, steered otherwise: rendered as a new take, and shown beside the old one.

import { edit, notify, on, render, shotOf, view } from "./store.js";

const SAME = 3000; // ms after which a finished render that brought no other take has brought the same

let awaited = null; // {shot, take, job}: the take that is to be compared with the one that the job makes

export async function alternative(shot, command = null) {
  if (command && !(await edit(command))) return;
  const jobs = await render({ shots: [shot.id] });
  awaited = jobs && { shot: shot.id, take: shot.take, job: jobs[0] };
}

on("project queue", async () => {
  if (!awaited) return;
  const job = view.queue.jobs.find((other) => other.id === awaited.job);
  if (!job || job.project !== view.project?.id || ["failed", "cancelled", "parked"].includes(job.state)) {
    awaited = null;
    return;
  }
  if (job.state !== "done") return;
  const shot = shotOf(awaited.shot);
  if (!shot || shot.take === awaited.take) {
    const same = awaited;
    setTimeout(() => awaited === same && ((awaited = null), notify("The same take came out: what was changed decides nothing here.")), SAME);
    return;
  }
  const left = awaited.take;
  awaited = null;
  if (shot.takes.some((take) => take.id === left && !take.discarded)) (await import("./compare.js")).compare(shot, [left, shot.take]);
});

// The edit that lets somebody remember one appearance alone.
export function mending(shot, { pin, bans }) {
  const others = (list) => list.filter((target) => target !== pin && !bans.includes(target));
  const boosts = Object.fromEntries(Object.entries(shot.boosts).filter(([target]) => !bans.includes(target)));
  return { op: "steer", shot: shot.id, pins: [...others(shot.pins), pin], bans: [...others(shot.bans), ...bans], boosts };
}
