// The first view: how much, how fast, and whether anything is wrong.

import { chart } from "./charts.js";
import { el, flag, keyed, show, write } from "./dom.js";
import { STANDINGS, isPartly, rests, standing, standingOf } from "./standing.js";
import { chip, empty, heading, partsOf, rechip, row, table } from "./parts.js";
import { breakerOf, clock, count, countdown, duration, long, many, percent, protocolOf, rate, roundDuration, silentOf } from "./words.js";

const title = "Overview";
const node = el("div", { class: "view" });

const sumOf = (points, name) => points.reduce((sum, point) => sum + (point[name] ?? 0), 0);
const most = (points, name) => Math.max(0, ...points.map((point) => point[name] ?? 0));
const lastOf = (points, name) => points.findLast((point) => point[name] !== null && point[name] !== undefined)?.[name];
let step = 5;

const charts = [
  chart({
    title: "Requests per second",
    lines: [
      { name: "all", tone: "main", area: true, read: (point) => point.requests / step },
      { name: "failed", tone: "bad", area: true, read: (point) => point.failed / step },
    ],
    say: rate,
    sum: (points) =>
      `${many(sumOf(points, "requests"), "request")}, ${count(sumOf(points, "failed"))} of them failed; ` +
      `at most ${rate(most(points, "requests") / step)} per second.`,
  }),
  chart({
    title: "Time to the end of an answer",
    lines: [
      { name: "half are faster (p50)", tone: "main", read: (point) => point.p50 },
      { name: "95% are faster (p95)", tone: "second", read: (point) => point.p95 },
    ],
    say: duration,
    axis: roundDuration,
    sum: (points) => `Lately p50 ${duration(lastOf(points, "p50"))}, p95 ${duration(lastOf(points, "p95"))}.`,
  }),
  chart({
    title: "Time to the first token",
    lines: [{ name: "p50", tone: "main", area: true, read: (point) => point.first_p50 }],
    words: "half of the streams are faster",
    say: duration,
    axis: roundDuration,
    sum: (points) => `Lately p50 ${duration(lastOf(points, "first_p50"))}.`,
  }),
  chart({
    title: "Output tokens per second",
    lines: [{ name: "tokens", tone: "third", area: true, read: (point) => (point.output ?? 0) / step }],
    words: "of all answers together",
    say: rate,
    sum: (points) => `At most ${rate(most(points, "output") / step)}, now ${rate((points.at(-1)?.output ?? 0) / step)}.`,
  }),
];

function figure(name) {
  const value = el("dd", { class: "figure-value" });
  const more = el("dd", { class: "figure-more quiet" });
  return { node: el("div", { class: "card figure" }, el("dt", {}, name), value, more), value, more };
}
const figures = {
  requests: figure("Requests in 10 minutes"),
  failed: figure("Failed"),
  live: figure("Running now"),
  keys: figure("Usable keys"),
};

const numbers = el("tbody");
const details = el("details", { class: "card numbers" },
  el("summary", {}, "The charts as numbers"),
  el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The charts as numbers" },
    el("table", { class: "plain-table" },
      el("thead", {}, el("tr", {}, ...["Time", "Requests", "Failed", "p50", "p95", "First token", "Output tokens"]
        .map((name) => el("th", { scope: "col" }, name)))),
      numbers)));
let points = [];
details.addEventListener("toggle", () => listNumbers());

function listNumbers() {
  if (!details.open) return;
  keyed(numbers, [...points].reverse(), (point) => point.at,
    () => el("tr", {}, el("th", { scope: "row" }), ...Array.from({ length: 6 }, () => el("td"))),
    (line, point) => {
      const words = [clock(point.at), count(point.requests), count(point.failed), duration(point.p50),
        duration(point.p95), duration(point.first_p50), count(point.output)];
      words.forEach((text, index) => write(line.children[index], text));
    });
}

const POOLS = [["name", "Pool"], ["keys", "Keys"], ["states", "States"], ["waiting", "Waiting", "number"]];
const pools = table("pools small-sheet", "Pools of keys", POOLS);
const noPools = empty("No pool of keys is shown here.");

const BREAKERS = [["target", "Target"], ["model", "Model"], ["state", "State"], ["until", "Tried again in", "number"]];
const breakers = table("breakers small-sheet", "Breakers", BREAKERS);
const noBreakers = empty("Every target is asked: no breaker is open.");

const reloadProblem = el("pre", { class: "reload-problem", tabindex: "0" });
const reloadNotice = el("section", { class: "notice", "data-tone": "bad", "aria-label": "Reload" },
  el("p", {}, el("strong", {}, "The last reload changed nothing."), " The configuration as it was goes on:"),
  reloadProblem);
const gateway = el("dl", { class: "facts" });
const FACTS = ["Version", "Running for", "Configuration", "Reloaded", "Workers"];
const facts = Object.fromEntries(FACTS.map((name) => [name, el("dd")]));
gateway.append(...FACTS.map((name) => el("div", {}, el("dt", {}, name), facts[name])));

node.append(
  heading(title, "The last ten minutes."),
  reloadNotice,
  el("dl", { class: "figures" }, ...Object.values(figures).map((one) => one.node)),
  el("div", { class: "charts" }, ...charts.map((one) => one.node)),
  details,
  el("div", { class: "columns" },
    el("section", { class: "card" }, el("h2", {}, "Pools"), pools.node, noPools),
    el("div", { class: "stack" },
      el("section", { class: "card" }, el("h2", {}, "Breakers"), breakers.node, noBreakers),
      el("section", { class: "card" }, el("h2", {}, "Gateway"), gateway))));

function renderFigures(state, all) {
  const requests = sumOf(all, "requests");
  const failed = sumOf(all, "failed");
  write(figures.requests.value, count(requests));
  const seconds = Math.max(step, Math.min(all.length * step, state.now - state.started));
  write(figures.requests.more, `${rate(requests / seconds)} per second`);
  write(figures.failed.value, requests ? percent(failed / requests) : "–");
  write(figures.failed.more, failed ? many(failed, "request") : "none");
  flag(figures.failed.node, "is-bad", requests && failed / requests >= 0.05);
  const live = state.live ?? [];
  const streaming = live.filter((one) => one.phase === "streaming").length;
  write(figures.live.value, count(live.length));
  write(figures.live.more, live.length ? `${count(streaming)} streaming, ${count(live.length - streaming)} waiting` : "nothing is asked");
  const keys = (state.pools ?? []).flatMap((pool) => pool.keys);
  const usable = keys.filter((key) => !rests(key));
  write(figures.keys.value, `${count(usable.length)} of ${count(keys.length)}`);
  const partly = usable.filter(isPartly).length;
  const resting = keys.length - usable.length;
  write(figures.keys.more, [resting && `${count(resting)} at rest`, partly && `${count(partly)} partly resting`].filter(Boolean).join(", ") || "all of them");
  flag(figures.keys.node, "is-bad", keys.length && !usable.length);
}

function renderPools(state) {
  const list = state.pools ?? [];
  show(noPools, !list.length);
  show(pools.node, list.length > 0);
  keyed(pools.body, list, (pool) => pool.name,
    () => row(POOLS, {
      name: [el("strong", { "data-part": "title" }), el("span", { class: "quiet small", "data-part": "how" }), el("span", { class: "problem", "data-part": "problem" })],
      keys: el("a", { "data-part": "link" }),
      states: el("span", { class: "chips", "data-part": "chips" }),
    }),
    (line, pool) => {
      const at = partsOf(line);
      write(at.title, pool.name);
      write(at.how, [protocolOf(pool.protocol), pool.strategy].filter(Boolean).join(", "));
      write(at.problem, pool.problem ?? "");
      show(at.problem, Boolean(pool.problem));
      at.link.href = `#/keys/${encodeURIComponent(pool.name)}`;
      write(at.link, many(pool.keys.length, "key"));
      const counts = new Map();
      for (const key of pool.keys) {
        const name = standing(key);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      const shown = STANDINGS.filter((name) => counts.has(name));
      keyed(at.chips, shown, (name) => name, () => chip(), (one, name) => {
        const look = standingOf(name);
        rechip(one, { ...look, word: `${count(counts.get(name))} ${look.word.toLowerCase()}` });
      });
      write(at.waiting, count(pool.waiting));
    });
}

function renderBreakers(state, age) {
  const list = state.breakers ?? [];
  show(noBreakers, !list.length);
  show(breakers.node, list.length > 0);
  keyed(breakers.body, list, (one) => `${one.target}/${one.model}`,
    () => row(BREAKERS, { state: chip() }),
    (line, one) => {
      const at = partsOf(line);
      write(at.target, one.target);
      write(at.model, one.model ?? "any");
      rechip(at.state.firstChild, breakerOf(one.state));
      write(at.until, typeof one.until === "number" ? countdown(one.until - age) : "–");
    });
}

function render(state, age) {
  const series = state.series ?? { step: 5, points: [] };
  step = series.step || 5;
  // Steps before the start hold nothing, and the last one is not full yet.
  points = series.points.filter((point) => point.at + step > state.started && point.at + step <= state.now);
  renderFigures(state, series.points);
  for (const one of charts) one.update({ step, points, end: (series.points.at(-1)?.at ?? 0) });
  listNumbers();
  renderPools(state);
  renderBreakers(state, age);
  show(reloadNotice, Boolean(state.reload_error));
  write(reloadProblem, state.reload_error);
  write(facts.Version, state.version);
  write(facts["Running for"], `${long(state.now + age - state.started)}, since ${clock(state.started)}`);
  write(facts.Configuration, `generation ${count(state.generation)}`);
  write(facts.Reloaded, state.reloaded ? clock(state.reloaded) : "not since the start");
  write(facts.Workers, silentOf(state) || (state.workers > 1 ? count(state.workers) : "one"));
}

export const overview = { title, node, render };
