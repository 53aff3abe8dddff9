// What a take drew on, in a few words.

import { percent } from "../common/format.js";

/**
 * Takes that the film no longer shows are counted together.
 * @param {Take} take
 */
export function contextWords(take) {
  const shown = take.context.filter(([index]) => index !== null);
  const older = take.context.filter(([index]) => index === null);
  const words = shown.map(([index, share]) => `shot ${Number(index) + 1} ${percent(share)}`);
  if (older.length) {
    const total = older.reduce((sum, [, share]) => sum + share, 0);
    words.push(`${older.length === 1 ? "an older take" : `${older.length} older takes`} ${percent(total)}`);
  }
  return words.length ? `drew on ${words.join(", ")}` : "drew on no earlier shot";
}
