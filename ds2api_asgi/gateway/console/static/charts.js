// Small charts as inline SVG: drawn at the width they have, so that their words stay sharp.

import { el, svg, write } from "./dom.js";
import { roundDuration } from "./words.js";

const HEIGHT = 132;
const SPANS = [60, 120, 300, 600]; // seconds: soon after a start there is not much to show
const EDGE = { top: 10, right: 8, bottom: 20, left: 48 };

/** The next round number: 1, 2 or 5 times a power of ten. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

/** Points of a line as the path's "d"; a gap where there is no value. */
export function linePath(points) {
  let path = "";
  let down = false;
  for (const [x, y] of points) {
    if (y === null) {
      down = false;
      continue;
    }
    path += `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    down = true;
  }
  return path;
}

/** The area below it, down to `floor`. */
export function areaPath(points, floor) {
  let path = "";
  let run = [];
  for (const [x, y] of [...points, [0, null]]) {
    if (y !== null) run.push([x, y]);
    else if (run.length) {
      path += `M${run[0][0].toFixed(1)} ${floor}${run.map(([a, b]) => `L${a.toFixed(1)} ${b.toFixed(1)}`).join("")}`;
      path += `L${run.at(-1)[0].toFixed(1)} ${floor}Z`;
      run = [];
    }
  }
  return path;
}

/**
 * A chart of some lines over the last minutes, ten at most.
 *
 * `lines` are {name, tone, area, read(point) → number or null}; `say(value)` gives a value with its unit, `axis(value)` a short one;
 * `sum(points)` a sentence for those who do not see the chart.
 */
export function chart({ title, lines, say, axis = say, sum, words }) {
  const drawing = svg("svg", { class: "chart-drawing", role: "img", height: HEIGHT, width: "100%" });
  const now = el("span", { class: "chart-now" });
  const readout = el("p", { class: "chart-readout", "aria-hidden": "true" });
  const legend = lines.length > 1 &&
    el("p", { class: "legend", "aria-hidden": "true" },
      ...lines.map(({ name, tone }) => el("span", { class: "legend-item" }, el("i", { "data-tone": tone }), name)));
  const node = el("section", { class: "card chart" },
    el("div", { class: "chart-head" }, el("h2", {}, title), now),
    drawing,
    el("div", { class: "chart-foot" }, legend || el("p", { class: "legend" }, words ?? ""), readout));
  let series = { step: 5, points: [], end: 0 };
  let scale = null;
  let pointed = null;

  function draw() {
    const width = drawing.clientWidth;
    if (!width) return; // not seen now
    const { points } = series;
    const { end } = series;
    const span = SPANS.find((one) => points.length && end - points[0].at < one) ?? SPANS.at(-1);
    const values = points.flatMap((point) => lines.map((line) => line.read(point) ?? 0));
    const most = roundUp(Math.max(0, ...values));
    const x = (at) => EDGE.left + (1 - (end - at) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => EDGE.top + (1 - value / most) * (HEIGHT - EDGE.top - EDGE.bottom);
    const floor = y(0);
    scale = { x };
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const grid = [0, 0.5, 1].map((part) =>
      svg("g", {},
        svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(most * part), y2: y(most * part) }),
        svg("text", { class: "axis", x: EDGE.left - 8, y: y(most * part) + 4, "text-anchor": "end" }, axis(most * part))));
    const times = [[span, `${roundDuration(span)} ago`, "start"], [span / 2, roundDuration(span / 2), "middle"], [0, "now", "end"]].map(([ago, text, anchor]) =>
      svg("text", { class: "axis", x: x(end - ago), y: HEIGHT - 4, "text-anchor": anchor }, text));
    const shapes = lines.flatMap((line) => {
      const places = points.map((point) => {
        const value = line.read(point);
        return [x(point.at), value === null || value === undefined ? null : y(value)];
      });
      const drawn = svg("path", { class: "line", "data-tone": line.tone, d: linePath(places) });
      // A value between two gaps has no line of its own.
      const alone = places.filter(([, at], index) =>
        at !== null && (places[index - 1]?.[1] ?? null) === null && (places[index + 1]?.[1] ?? null) === null);
      const dots = alone.map(([cx, cy]) => svg("circle", { class: "spot", "data-tone": line.tone, cx, cy, r: 1.8 }));
      return line.area
        ? [svg("path", { class: "area", "data-tone": line.tone, d: areaPath(places, floor) }), drawn, ...dots]
        : [drawn, ...dots];
    });
    const hair = svg("line", { class: "hair", y1: EDGE.top, y2: floor, visibility: "hidden" });
    drawing.replaceChildren(svg("title", {}, title), ...grid, ...times, ...shapes, hair);
    point();
  }

  /** Read the values at the pointer. */
  function point() {
    const hair = drawing.querySelector(".hair");
    const { points } = series;
    if (pointed === null || !scale || !points.length || !hair) {
      write(readout, "");
      hair?.setAttribute("visibility", "hidden");
      return;
    }
    const near = points.reduce((best, one) =>
      Math.abs(scale.x(one.at) - pointed) < Math.abs(scale.x(best.at) - pointed) ? one : best);
    const at = scale.x(near.at);
    hair.setAttribute("x1", at);
    hair.setAttribute("x2", at);
    hair.setAttribute("visibility", "visible");
    const ago = Math.round(series.end - near.at);
    const said = lines.map((line) => {
      const value = line.read(near);
      return `${lines.length > 1 ? `${line.name} ` : ""}${value === null || value === undefined ? "–" : say(value)}`;
    });
    write(readout, `${said.join(" · ")}, ${ago} s ago`);
  }

  drawing.addEventListener("pointermove", (event) => {
    pointed = event.clientX - drawing.getBoundingClientRect().left;
    point();
  });
  drawing.addEventListener("pointerleave", () => {
    pointed = null;
    point();
  });
  new ResizeObserver(draw).observe(drawing);

  return {
    node,
    update(next) {
      const last = next.points.at(-1);
      const before = series.points.at(-1);
      const same = last && before && next.end === series.end && JSON.stringify(last) === JSON.stringify(before);
      series = next;
      if (same && drawing.firstChild) return;
      const value = last ? lines[0].read(last) : null;
      write(now, value === null || value === undefined ? "–" : say(value));
      drawing.setAttribute("aria-label", `${title}, the last 10 minutes. ${sum(next.points)}`);
      draw();
    },
  };
}
