// Steering a shot: what of the past it must look at, must not, or should more than it would.

export const KINDS = {
  pin: { word: "Pin", past: "pinned", shape: "pin" },
  ban: { word: "Ban", past: "banned", shape: "cross" },
  boost: { word: "Boost", past: "boosted", shape: "up" },
};

const BOOST = 2; // added to a score of routing

const targets = (shot, kind) => (kind === "boost" ? Object.keys(shot.boosts) : kind === "pin" ? shot.pins : shot.bans);

// The edit that turns a pin, ban or boost of a target on or off; a target is a shot's id, or "ID/Mira".
export function steered(shot, kind, target) {
  const on = steersBy(shot, kind, target);
  const boosts = { ...shot.boosts };
  delete boosts[target];
  if (kind === "boost" && !on) boosts[target] = BOOST;
  const without = (list) => list.filter((other) => other !== target);
  return {
    op: "steer",
    shot: shot.id,
    pins: kind === "pin" && !on ? [...shot.pins, target] : without(shot.pins),
    bans: kind === "ban" && !on ? [...shot.bans, target] : without(shot.bans),
    boosts,
  };
}

export function steersBy(shot, kind, target) {
  return targets(shot, kind).includes(target);
}

// Whether a shot steers another, or a part of it.
export function steers(shot, kind, other) {
  return targets(shot, kind).some((name) => name === other || name.startsWith(`${other}/`));
}

// Of what a shot steers, the parts: [target, shot, part].
export function steeredParts(shot, kind) {
  return targets(shot, kind)
    .filter((name) => name.includes("/"))
    .map((name) => [name, name.slice(0, name.indexOf("/")), name.slice(name.indexOf("/") + 1)]);
}
