// Steering: earlier shots, or parts of them, that a shot must attend to, must not, or should more than it would.

export const KINDS = /** @type {const} */ ({
  pin: { word: "Pin", past: "pinned", icon: "pin" },
  ban: { word: "Ban", past: "banned", icon: "cross" },
  boost: { word: "Boost", past: "boosted", icon: "up" },
});
export const STEERINGS = /** @type {Steering[]} */ (Object.keys(KINDS));

const BOOST = 2; // added to a score of routing

/**
 * @param {Shot} shot
 * @param {Steering} kind
 */
function targets(shot, kind) {
  if (kind === "boost") return Object.keys(shot.boosts);
  return kind === "pin" ? shot.pins : shot.bans;
}

/**
 * The edit that turns a pin, ban or boost on or off. A target is a shot's id, or "ID/Mira" for a part of it.
 * @param {Shot} shot
 * @param {Steering} kind
 * @param {string} target
 */
export function toggledSteering(shot, kind, target) {
  const on = isSteered(shot, kind, target);
  const boosts = { ...shot.boosts };
  delete boosts[target];
  if (kind === "boost" && !on) boosts[target] = BOOST;
  const without = (/** @type {string[]} */ list) => list.filter((other) => other !== target);
  return {
    op: "steer",
    shot: shot.id,
    pins: kind === "pin" && !on ? [...shot.pins, target] : without(shot.pins),
    bans: kind === "ban" && !on ? [...shot.bans, target] : without(shot.bans),
    boosts,
  };
}

/**
 * The edit that leaves a shot one appearance to remember: `pin` it, ban the others.
 * @param {Shot} shot
 * @param {{ pin: string, bans: string[] }} appearance
 */
export function onlyAppearance(shot, { pin, bans }) {
  const others = (/** @type {string[]} */ list) =>
    list.filter((target) => target !== pin && !bans.includes(target));
  const boosts = Object.fromEntries(Object.entries(shot.boosts).filter(([target]) => !bans.includes(target)));
  return {
    op: "steer",
    shot: shot.id,
    pins: [...others(shot.pins), pin],
    bans: [...others(shot.bans), ...bans],
    boosts,
  };
}

/**
 * @param {Shot} shot
 * @param {Steering} kind
 * @param {string} target
 */
export const isSteered = (shot, kind, target) => targets(shot, kind).includes(target);

/**
 * Whether a shot steers another one, or a part of it.
 * @param {Shot} shot
 * @param {Steering} kind
 * @param {string} other
 */
export const steersShot = (shot, kind, other) =>
  targets(shot, kind).some((target) => target === other || target.startsWith(`${other}/`));

/**
 * The parts of other shots that a shot steers.
 * @param {Shot} shot
 * @param {Steering} kind
 */
export const steeredParts = (shot, kind) =>
  targets(shot, kind)
    .filter((target) => target.includes("/"))
    .map((target) => {
      const [id, ...rest] = target.split("/");
      return { target, id, part: rest.join("/") };
    });
