// Numbers and times as people read them.

const NBSP = "\u00a0";
const MINUS = "\u2212";
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export const count = (value) => value.toLocaleString("en-US");

/** A share as a percentage: .3417 is "34.17 %". */
export const percent = (share, digits = 2) => `${(100 * share).toFixed(digits)}${NBSP}%`;

/** A difference of shares, in percentage points: .012 is "+1.20". */
export function points(difference, digits = 2) {
  const size = Math.abs(100 * difference).toFixed(digits);
  if (Number(size) === 0) return size;
  return (difference < 0 ? MINUS : "+") + size;
}

/** Seconds in the units that matter: 3725 is "1 h 2 min", 43200 is "12 h". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}${NBSP}s`;
  const at = UNITS.findIndex(([, size]) => whole >= size);
  const [[unit, size], [smaller, part]] = [UNITS[at], UNITS[at + 1]];
  const much = Math.floor(whole / size);
  const rest = much < 10 ? Math.floor((whole % size) / part) : 0;
  return `${much}${NBSP}${unit}` + (rest ? ` ${rest}${NBSP}${smaller}` : "");
}

/** Milliseconds with three digits that count; null before there are any. */
export const milliseconds = (value) => value === null ? "none yet" : `${Number(value.toPrecision(3))}${NBSP}ms`;

/** "2026-11-24 23:34", in UTC. */
export const time = (text) => new Date(text).toISOString().slice(0, 16).replace("T", " ");

/** "23:34:07", by the reader's own clock. */
export const clock = (date) => date.toTimeString().slice(0, 8);
