// Times and shares in words.

/**
 * Minutes and seconds; with `fps` a timecode of hours, minutes, seconds and frames.
 * @param {number} seconds
 * @param {number | null} fps
 */
export function clock(seconds, fps = null) {
  const whole = Math.floor(Math.max(0, seconds) + 1e-6);
  const twoDigits = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (!fps) return `${minutes}:${twoDigits(whole % 60)}`;
  const frame = Math.max(0, Math.floor((seconds - whole) * fps + 1e-3));
  return [Math.floor(minutes / 60), minutes % 60, whole % 60, frame].map(twoDigits).join(":");
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "< 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** @param {number} share of 1 */
export const percent = (share) => (share >= 0.005 ? `${Math.round(share * 100)}%` : "< 1%");

/**
 * @param {number} count
 * @param {string} noun
 */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** @param {number} bytes */
export function size(bytes) {
  const units = ["kB", "MB", "GB", "TB"];
  let number = bytes / 1000;
  let unit = 0;
  while (number >= 999.5 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number && number < 9.95 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

/** Memory as its makers count it, in powers of 2. @param {number} bytes */
export const memorySize = (bytes) => size((bytes / 2 ** 30) * 1e9);
