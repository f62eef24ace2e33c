// The keys of each pool: their states, what is left of their limits, and what may be done with them.

import { ApiError, ask, keyPath } from "./api.js";
import { el, flag, keyed, mark, say, show, write } from "./dom.js";
import { icon, reicon } from "./icons.js";
import { chip, confirmed, empty, field, heading, partsOf, rechip, row, table } from "./parts.js";
import { STANDINGS, enabling, isPartly, rests, standing, standingOf, wholeOf } from "./standing.js";
import { count, countdown, duration, many, protocolOf, stateOf } from "./words.js";

const MODELS = 4; // of a key, with states of their own
const PAGE = 100; // rows of a pool that are drawn before more are asked for

const title = "Keys";
const node = el("div", { class: "view" });
const search = el("input", { type: "search", placeholder: "alias, model or pool", autocomplete: "off", oninput: redraw });
const filters = el("div", { class: "filters", role: "group", "aria-label": "Only keys in these states" });
const sections = el("div", { class: "stack" });
const nothing = empty("No key is like that.");
const noPools = empty("No pool of keys is shown here.");
node.append(
  heading(title, "Which keys may be used now, and when the others come back."),
  el("div", { class: "toolbar" }, field("Search", search), filters),
  nothing, noPools, sections);

const COLUMNS = [
  ["alias", "Key"], ["state", "State"], ["headroom", "Left of its limits"], ["flight", "In flight", "number"],
  ["leased", "Leased", "number"], ["served", "Served", "number"], ["failed", "Failed", "number"], ["actions", "Actions"],
];
const chosen = new Set(); // states to be seen; none: all
const results = new Map(); // of tests, by pool and alias
const busy = new Set(); // keys that are asked something, likewise
const drawn = new Map(); // how many rows of a pool
const shownBy = new WeakMap(); // rows
let last = { pools: [] };
let age = 0;
let repaint = () => {};

const idOf = (pool, key) => JSON.stringify([pool.name, key.alias]);

function redraw() {
  repaint();
}

function wanted(pool, key) {
  if (chosen.size && !chosen.has(standing(key))) return false;
  const words = search.value.trim().toLowerCase();
  if (!words) return true;
  return [key.alias, pool.name, ...Object.keys(key.models)].some((text) => text.toLowerCase().includes(words));
}

function renderFilters() {
  const counts = new Map();
  for (const pool of last.pools) for (const key of pool.keys) counts.set(standing(key), (counts.get(standing(key)) ?? 0) + 1);
  keyed(filters, STANDINGS.filter((name) => counts.has(name) || chosen.has(name)), (name) => name,
    (name) => el("button", {
      type: "button", class: "filter", onclick() {
        if (!chosen.delete(name)) chosen.add(name);
        redraw();
      },
    }, chip()),
    (button, name) => {
      mark(button, "aria-pressed", chosen.has(name));
      const look = standingOf(name);
      rechip(button.firstChild, { ...look, word: `${count(counts.get(name) ?? 0)} ${look.word.toLowerCase()}` });
    });
}

const LIMITS = {
  rpm: "Requests / min", tpm: "Tokens / min", rpd: "Requests / day", tpd: "Tokens / day", concurrency: "At a time",
  requests: "Requests", tokens: "Tokens", "input-tokens": "Input tokens", "output-tokens": "Output tokens",
};
const SOURCES = { configured: "configured", provider: "says the provider" };

/** When it comes back, as a clock that runs down. */
function back(until) {
  if (typeof until !== "number") return "";
  return until > age ? `back in ${countdown(until - age)}` : "back with the next request";
}

function makeBar() {
  return el("li", { class: "bar-of" },
    el("span", { class: "bar-name" }, el("span", { class: "block", "data-part": "name" }), el("code", { class: "quiet", "data-part": "model" })),
    el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", "data-part": "fill" })),
    el("span", { class: "bar-left", "data-part": "left" }),
    el("span", { class: "quiet", "data-part": "resets" }));
}

function updateBar(bar, head) {
  const at = partsOf(bar);
  const left = typeof head.left === "number" ? Math.max(0, head.left) : null;
  const part = left === null || !head.limit ? null : Math.min(1, left / head.limit);
  write(at.name, LIMITS[head.of] ?? head.of);
  write(at.model, head.model ?? "");
  at.fill.style.width = `${Math.round((part ?? 0) * 1000) / 10}%`;
  at.fill.dataset.tone = part === null ? "off" : part <= 0.1 ? "bad" : part <= 0.3 ? "warn" : "good";
  const limit = typeof head.limit === "number" ? ` of ${count(head.limit)}` : "";
  write(at.left, left === null ? `limit ${count(head.limit)}` : `${count(left)}${limit} left`);
  const resets = typeof head.resets_in === "number" ? `full in ${countdown(head.resets_in - age)}, ` : "";
  write(at.resets, `${resets}${SOURCES[head.source] ?? head.source}`);
}

function makeKey(pool, key) {
  const button = (name, words, more) =>
    el("button", { type: "button", class: more, "data-part": name, onclick: () => act(pool.name, key.alias, name) }, words);
  return row(COLUMNS, {
    alias: el("span", { class: "alias", "data-part": "name" }),
    state: [
      el("ul", { class: "models", "data-part": "models" }),
      el("span", { class: "state-line" }, chip(), el("span", { class: "countdown", "data-part": "until" }),
        el("span", { class: "countdown", "data-part": "alike" })),
    ],
    headroom: [el("ul", { class: "headroom-list", "data-part": "bars" }), el("span", { class: "quiet", "data-part": "free" }, "no limit known")],
    actions: [
      el("span", { class: "buttons" }, button("test", "Test"), button("enable", "Enable"), button("disable", "Disable")),
      el("p", { class: "result", "data-part": "result", role: "status" }, icon("dot"), el("span", { "data-part": "words" })),
    ],
  });
}

/** What a row shows, in one string; clocks run on between two states. */
function shownOf(pool, key) {
  const runs = key.whole[1] !== null || Object.keys(key.models).length || key.headroom.some((one) => one.resets_in !== null);
  return JSON.stringify([key, results.get(idOf(pool, key)), busy.has(idOf(pool, key)), runs ? age : 0]);
}

function updateKey(line, pool, key) {
  const shown = shownOf(pool, key);
  if (shownBy.get(line) === shown) return; // most of a thousand keys
  shownBy.set(line, shown);
  const at = partsOf(line);
  write(at.name, key.alias);
  flag(line, "is-off", key.switched_off);
  const whole = wholeOf(key);
  rechip(line.querySelector(".state-line .chip"), stateOf(whole.state, key.switched_off));
  write(at.until, isPartly(key) ? "for other models" : rests(key) && !key.switched_off ? back(whole.until) : "");
  const [alike, workers] = key.workers;
  write(at.alike, alike < workers ? `in ${count(alike)} of ${count(workers)} workers` : "");
  const models = Object.entries(key.models);
  show(at.models, models.length > 0);
  const few = models.slice(0, MODELS).map(([model, [state, until]]) => ({ model, state, until }));
  if (models.length > MODELS) few.push({ more: models.length - MODELS });
  keyed(at.models, few, ({ model }) => model,
    () => el("li", {}, chip(), el("code", { "data-part": "model" }), el("span", { class: "countdown", "data-part": "rest" })),
    (item, { model, state, until, more }) => {
      const of = partsOf(item);
      show(item.firstChild, !more);
      if (!more) rechip(item.firstChild, stateOf(state));
      write(of.model, more ? "" : model);
      write(of.rest, more ? `and ${many(more, "more model")}` : back(until));
    });
  const { headroom } = key;
  show(at.free, !headroom.length);
  keyed(at.bars, headroom, (head) => `${head.of}/${head.model}/${head.source}`, makeBar, updateBar);
  write(at.flight, count(key.in_flight));
  write(at.served, count(key.served));
  write(at.failed, count(key.failed));
  flag(at.failed, "is-bad", key.failed > 0);
  write(at.leased, count(key.leased));
  swap(at, key);
  for (const name of ["test", "enable", "disable"]) {
    mark(at[name], "aria-disabled", busy.has(idOf(pool, key)) ? "true" : null); // `disabled` would take the focus away
    mark(at[name], "aria-label", `${at[name].textContent} key ${key.alias} of ${pool.name}`);
  }
  const result = results.get(idOf(pool, key));
  show(at.result, Boolean(result));
  if (!result) return;
  mark(at.result, "data-tone", result.tone);
  reicon(at.result.firstChild, result.icon);
  write(at.words, result.words);
}

/** Show what may be done now; the focus goes from a button that leaves to what undoes it. */
function swap(at, key) {
  const focused = document.activeElement;
  show(at.disable, !key.switched_off);
  show(at.enable, enabling(key));
  if (focused === at.disable && at.disable.hidden) at.enable.focus({ preventScroll: true });
  if (focused === at.enable && at.enable.hidden) at.disable.focus({ preventScroll: true });
}

const find = (poolName, alias) =>
  last.pools.find((pool) => pool.name === poolName)?.keys.find((one) => one.alias === alias);

async function act(poolName, alias, action) {
  const id = JSON.stringify([poolName, alias]);
  if (busy.has(id)) return;
  if (action === "disable") {
    const uses = find(poolName, alias)?.in_flight ?? 0;
    const ends = uses ? ` ${many(uses, "request")} that ${uses === 1 ? "uses" : "use"} it now will finish.` : "";
    if (!(await confirmed(`Disable the key ${alias}?`, `No request gets it until it is enabled again.${ends}`, "Disable"))) return;
  }
  busy.add(id);
  if (action === "test") results.set(id, { tone: "info", icon: "wait", words: "Asking the provider…" });
  redraw();
  try {
    const answer = await ask(keyPath(poolName, alias, action), null);
    Object.assign(find(poolName, alias) ?? {}, answer.key); // as it is known by now
    if (action === "test") {
      const { ok, words, took } = answer.result;
      results.set(id, { tone: ok ? "good" : "bad", icon: ok ? "check" : "cross", words: `${words} (${duration(Math.max(took, 1e-6))})` });
    } else if (answer.missing) {
      const words = `${many(answer.missing, "worker")} did not say that the key is ${action}d there.`;
      results.set(id, { tone: "warn", icon: "wait", words });
    } else {
      results.delete(id);
      say(`Key ${alias} is ${action}d.`);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    results.set(id, { tone: "bad", icon: "cross", words: error.message });
  } finally {
    busy.delete(id);
    redraw();
  }
}

function makePool(pool) {
  const rows = table("keys", `Keys of ${pool.name}`, COLUMNS);
  const more = el("button", {
    type: "button", "data-part": "more", onclick() {
      drawn.set(pool.name, (drawn.get(pool.name) ?? PAGE) + PAGE);
      redraw();
    },
  });
  const section = el("section", { class: "card", "aria-label": `Pool ${pool.name}`, "data-pool": pool.name },
    el("div", { class: "card-head" }, el("h2", { tabindex: "-1" }, pool.name), el("p", { class: "quiet", "data-part": "about" })),
    el("p", { class: "problem", "data-part": "problem" }),
    rows.node, el("p", { class: "more" }, more));
  rows.body.dataset.part = "body";
  rows.node.dataset.part = "sheet";
  return section;
}

function updatePool(section, pool) {
  const at = partsOf(section);
  const list = pool.keys.filter((key) => wanted(pool, key));
  const most = drawn.get(pool.name) ?? PAGE;
  write(at.problem, pool.problem ? `Its keys cannot be shown: ${pool.problem}.` : "");
  const waiting = pool.waiting ? `${many(pool.waiting, "request")} waiting` : null;
  const sum = pool.workers > 1 ? `counts and limits of ${count(pool.workers)} workers added up` : null;
  write(at.about, [many(pool.keys.length, "key"), protocolOf(pool.protocol), pool.strategy, waiting, sum].filter(Boolean).join(" · "));
  show(section, list.length > 0 || Boolean(pool.problem));
  keyed(at.body, list.slice(0, most), (key) => key.alias, (key) => makeKey(pool, key), (line, key) => updateKey(line, pool, key));
  show(at.more, list.length > most);
  write(at.more, `Show ${count(Math.min(PAGE, list.length - most))} more of ${count(list.length)}`);
}

function render(state, seconds, again) {
  last = { pools: state.pools ?? [] };
  age = seconds;
  repaint = again;
  renderFilters();
  keyed(sections, last.pools, (pool) => pool.name, makePool, updatePool);
  show(noPools, !last.pools.length);
  show(nothing, last.pools.length > 0 && ![...sections.children].some((section) => !section.hidden));
}

/** #/keys/POOL shows that pool first. */
function enter(rest) {
  if (!rest) return null;
  const section = [...sections.children].find((one) => one.dataset.pool === rest);
  section?.scrollIntoView({ block: "start" });
  return section?.querySelector("h2") ?? null;
}

export const keys = { title, node, render, enter };
