// Requests: those that run, those that ended, and on a click the decisions that were made for one.

import { el, flag, keyed, mark, show, write } from "./dom.js";
import { chip, empty, field, heading, partsOf, rechip, row, table } from "./parts.js";
import { traceView } from "./trace.js";
import { clock, count, dollars, duration, endOf, many, protocolOf, rate } from "./words.js";

const SHOWN = 100; // rows of each table

const title = "Requests";
const search = el("input", { type: "search", placeholder: "model, caller, id, reason", autocomplete: "off", oninput: () => repaint() });
const failedOnly = el("input", { type: "checkbox", onchange: () => repaint() });
let repaint = () => {};
let open = null;

const LIVE = [
  ["began", "Running"], ["what", "Asked"], ["caller", "Caller"], ["phase", "Phase"], ["key", "Key"],
  ["first", "First token", "number"], ["output", "Tokens", "number"], ["speed", "Tokens / s", "number"],
];
const live = table("live", "Requests that run now", LIVE);
const liveCount = el("p", { class: "quiet" });
const noLive = empty("Nothing runs at the moment.");

const RECENT = [
  ["when", "Began"], ["end", "End"], ["what", "Asked"], ["caller", "Caller"], ["key", "Key"], ["took", "Took", "number"],
  ["first", "First token", "number"], ["tokens", "Tokens in, out", "number"], ["speed", "Tokens / s", "number"],
  ["cost", "Cost", "number"],
];
const recent = table("recent", "Requests that ended, newest first", RECENT);
const recentCount = el("p", { class: "quiet" });
const noRecent = empty("");

const detail = traceView(() => {
  location.hash = "#/requests";
});
const list = el("div", { class: "stack list" },
  el("section", { class: "card" },
    el("div", { class: "card-head" }, el("h2", {}, "Running"), liveCount), live.node, noLive),
  el("section", { class: "card" },
    el("div", { class: "card-head" }, el("h2", {}, "Ended"), recentCount),
    el("div", { class: "toolbar" }, field("Search", search), el("label", { class: "tick" }, failedOnly, " Failed only")),
    recent.node, noRecent));
const pair = el("div", { class: "pair" }, list, detail.node);
const node = el("div", { class: "view" }, heading(title, "What runs, what ended, and why it ended so."), pair);

const asked = () => [
  el("span", { class: "model", "data-part": "model" }),
  el("span", { class: "quiet small block", "data-part": "protocol" }),
];

function writeAsked(at, one) {
  write(at.model, one.model ?? "no model named");
  flag(at.model, "quiet", !one.model);
  write(at.protocol, [protocolOf(one.protocol), one.operation === "generate" ? null : one.operation].filter(Boolean).join(", "));
}

/** A link that covers its row; it alone takes the focus. */
const cover = (part) => el("a", { class: "cover", "data-part": part });

function select(line, at, one, words) {
  mark(at.link, "href", `#/requests/${encodeURIComponent(one.id)}`);
  mark(at.link, "aria-current", one.id === open ? "true" : null);
  flag(line, "is-open", one.id === open);
  write(at.link, words);
}

const keyOf = (one) => (one.key ? (one.pool ? `${one.pool} / ${one.key}` : one.key) : "–");

/** A cell; one without a value is left out where rows are cards. */
function value(cell, words) {
  mark(cell, "data-none", words === "–");
  write(cell, words);
}

const PHASES = {
  waiting: { word: "Waiting", icon: "wait", tone: "warn", means: "no content has come yet" },
  streaming: { word: "Streaming", icon: "send", tone: "good", means: "content comes" },
};

function updateLive(line, one, now) {
  const at = partsOf(line);
  select(line, at, one, duration(Math.max(0, now - one.began)));
  writeAsked(at, one);
  value(at.caller, one.caller ?? "–");
  rechip(at.phase.firstChild, PHASES[one.phase] ?? { word: String(one.phase), icon: "dot", tone: "info" });
  value(at.key, keyOf(one));
  value(at.first, duration(one.first));
  value(at.output, `${one.estimated && one.output ? "≈ " : ""}${count(one.output)}`);
  value(at.speed, rate(one.per_second));
}

const isOpenIn = new WeakMap(); // rows; else an ended request changes no more

function updateRecent(line, one) {
  if (isOpenIn.get(line) === (one.id === open)) return;
  isOpenIn.set(line, one.id === open);
  const at = partsOf(line);
  select(line, at, one, clock(one.when));
  const look = endOf(one.end);
  rechip(at.end.firstChild, one.status ? { ...look, word: `${one.status} ${look.word.toLowerCase()}` } : look);
  writeAsked(at, one);
  write(at.why, one.why ?? "");
  show(at.why, Boolean(one.why));
  value(at.caller, one.caller ?? "–");
  value(at.key, keyOf(one));
  value(at.took, duration(one.took));
  value(at.first, duration(one.first));
  const known = typeof one.input === "number" || typeof one.output === "number";
  value(at.tokens, known ? `${count(one.input)} → ${count(one.output)}` : "–");
  value(at.speed, rate(one.per_second));
  value(at.cost, dollars(one.cost) ?? "–");
}

function wanted(one) {
  if (failedOnly.checked && one.end === "complete") return false;
  const words = search.value.trim().toLowerCase();
  if (!words) return true;
  return [one.id, one.model, one.caller, one.key, one.protocol, one.operation, one.why, one.end, String(one.status)]
    .some((text) => text?.toLowerCase().includes(words));
}

function render(state, age, again, traffic) {
  repaint = again;
  const running = traffic.live();
  const all = Math.max(running.length, running.length < 500 ? 0 : state.in_flight ?? 0); // the gateway tells so many
  write(liveCount, all > SHOWN ? `the newest ${SHOWN} of ${count(all)}` : many(all, "request"));
  show(noLive, !running.length);
  show(live.node, running.length > 0);
  keyed(live.body, running.slice(0, SHOWN), (one) => one.id,
    () => row(LIVE, { began: cover("link"), what: asked(), phase: chip() }),
    (line, one) => updateLive(line, one, state.now + age));
  const ended = traffic.recent();
  const found = ended.filter(wanted);
  write(recentCount, !ended.length ? "" : found.length === ended.length ? `the last ${count(ended.length)}` : `${count(found.length)} of the last ${count(ended.length)}`);
  show(noRecent, !found.length);
  show(recent.node, found.length > 0);
  write(noRecent, ended.length ? "None of them is like that." : "No request has ended yet.");
  keyed(recent.body, found.slice(0, SHOWN), (one) => one.id,
    () => row(RECENT, {
      when: cover("link"),
      end: chip(),
      what: [...asked(), el("span", { class: "why small block", "data-part": "why" })],
    }),
    updateRecent);
  detail.render(open, traffic, state.now + age);
}

/** #/requests/ID opens that one; without an ID the list is all there is. */
function enter(rest) {
  const before = open;
  open = rest || null;
  pair.dataset.open = open ? "yes" : "no";
  if (open) return detail.open(open);
  detail.close();
  if (!before) return null;
  const links = node.querySelectorAll(".cover");
  return [...links].find((link) => link.getAttribute("href") === `#/requests/${encodeURIComponent(before)}`) ?? null;
}

export const requests = { title, node, render, enter, followsRequests: true };
