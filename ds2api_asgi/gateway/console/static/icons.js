// Small drawings on a field of 16; they say nothing by themselves, a word stands beside each.

import { svg } from "./dom.js";

const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4 4l8 8M12 4l-8 8",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 5v3.2l2.2 1.6",
  half: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12M10 3.2v9.6M12 4.6v6.8",
  empty: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM5 8h6",
  bar: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM3.8 3.8l8.4 8.4",
  power: "M8 2v5.5M4.6 4.2a5.2 5.2 0 1 0 6.8 0",
  dot: "M8 6.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  cut: "M2 8h3.5M10.5 8H14M6.5 4.5l3 7",
  away: "M9 3h4v10H9M2.5 8H10M5 5.2L2.2 8 5 10.8",
  copy: "M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z",
  back: "M9.5 3.5L5 8l4.5 4.5",
  warn: "M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.2",
  key: "M5.5 8a2.5 2.5 0 1 1 0 .1M8 8h6M12 8v2.5M14 8v1.8",
  send: "M2.5 8h10.5M9.5 4.5L13 8l-3.5 3.5",
  wait: "M4.5 2.5h7M4.5 13.5h7M5 2.5c0 3.5 6 3.5 6 11M11 2.5c0 3.5-6 3.5-6 11",
  stop: "M4 4h8v8H4z",
  turn: "M12.5 5A5.2 5.2 0 1 0 13.2 8.6M12.8 2.2V5.2H9.8",
  down: "M3.5 6L8 10.5 12.5 6",
};

export const icon = (name) =>
  svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.dot }));

/** Turn an icon into another one. */
export const reicon = (node, name) => node.firstChild.setAttribute("d", PATHS[name] ?? PATHS.dot);
