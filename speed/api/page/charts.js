// The page's two drawings, in the style of the report's charts.

import { svg } from "./dom.js";
import { percent, points } from "./words.js";

const ROW = 22;
const [RANGE_WIDTH, EDGE] = [320, 6];
const [BARS_WIDTH, LABELS, END] = [360, 118, 308];

const x = (rate) => EDGE + Math.min(Math.max(rate, 0), 1) * (RANGE_WIDTH - 2 * EDGE);
const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
const text = (at, y, said, anchor) => svg("text", { x: at, y, "text-anchor": anchor }, said);

/**
 * Predictions and their intervals on the scale from 0 to 100 %, a row each, the observed rate as a rule through all.
 * rows: [{rate, lower, upper, kind}], rates in [0, 1], bounds null where there are none; kind: a CSS class.
 */
export function range(rows, observed, title) {
  const top = observed === null ? 2 : 16;
  const bottom = top + ROW * rows.length;
  const parts = [0, 0.25, 0.5, 0.75, 1].flatMap((tick) => [
    line(x(tick), top, x(tick), bottom, "grid"),
    text(x(tick), bottom + 14, percent(tick, 0), tick === 0 ? "start" : tick === 1 ? "end" : "middle"),
  ]);
  const middle = (at) => top + ROW * (at + 0.5);
  rows.forEach(({ lower, upper, kind }, at) => {
    if (lower === null) return;
    const width = Math.max(x(upper) - x(lower), 1);
    parts.push(svg("rect", { x: x(lower), y: middle(at) - 5, width, height: 10, rx: 2, class: `interval ${kind}` }));
  });
  if (observed !== null) {
    const anchor = observed < 0.2 ? "start" : observed > 0.8 ? "end" : "middle";
    parts.push(line(x(observed), top - 3, x(observed), bottom, "seen"), text(x(observed), 10, "observed", anchor));
  }
  rows.forEach(({ rate, kind }, at) => parts.push(svg("circle", { cx: x(rate), cy: middle(at), r: 4.5, class: `dot ${kind}` })));
  return drawing(RANGE_WIDTH, bottom + 20, title, parts);
}

/** Bars to the left and right of a middle. rows: [[label, difference of shares]]. */
export function contributions(rows, title) {
  const most = Math.max(...rows.map(([, size]) => Math.abs(size)), 1e-9);
  const middle = (LABELS + END) / 2;
  const scale = (END - LABELS) / 2 / most;
  const parts = [line(middle, 0, middle, ROW * rows.length, "rule")];
  rows.forEach(([label, size], at) => {
    const y = ROW * (at + 0.5);
    const width = Math.max(Math.abs(size) * scale, 1);
    const start = size < 0 ? middle - width : middle;
    parts.push(
      text(LABELS - 8, y + 4, label, "end"),
      svg("rect", { x: start, y: y - 6, width, height: 12, class: size < 0 ? "bar less" : "bar" }),
      text(BARS_WIDTH - 2, y + 4, points(size), "end"),
    );
  });
  return drawing(BARS_WIDTH, ROW * rows.length + 2, title, parts);
}

function drawing(width, height, title, parts) {
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, ...parts);
}
