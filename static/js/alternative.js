// The same shot at the same seed, steered otherwise: rendered as a new take, and shown beside the old one.

import { edit, on, render, shotOf } from "./store.js";

let awaited = null; // {shot, take}: the take that is to be compared with the next

export async function alternative(shot, command = null) {
  if (command && !(await edit(command))) return;
  awaited = { shot: shot.id, take: shot.take };
  if (!(await render({ shots: [shot.id] }))) awaited = null;
}

on("project", async () => {
  const shot = awaited && shotOf(awaited.shot);
  if (!shot || shot.take === awaited.take) return;
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
