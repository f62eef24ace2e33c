// The decision trace in words: the same ones as `ds2api explain` has (gateway/commands/explain.py; a test holds them together).

/** As Python's format "{:.3g}" (or "{:g}" with 6 digits). */
export function general(value, digits = 6) {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power >= -4 && power < digits) return trimmed(value.toFixed(digits - 1 - power));
  return `${trimmed(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** As Python's repr of a string that holds nothing unprintable. */
function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  return mark + text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`) + mark;
}

/** As Python's json.dumps with its default separators. */
function dumped(value) {
  if (Array.isArray(value)) return `[${value.map(dumped).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${dumped(one)}`).join(", ")}}`;
}

const short = (value) => (typeof value === "string" ? value : dumped(value));
const told = (value) => value !== undefined && value !== null;

/** A member that must be there; a step of another version is told by its members instead. */
function need(members, name) {
  if (members[name] === undefined) throw new TypeError(name);
  return members[name];
}

const KEYS = {
  cool: "key cooled, ",
  exhaust: "key out of quota, ",
  disable: "key disabled, ",
  block_model: "key blocked for this model, ",
};
const RETRIES = { none: "no retry", same: "the same again", key: "another key", route: "another upstream" };

function attempted(step) {
  const pause = step.after ? ` after ${general(step.after, 3)} s` : "";
  return `attempt ${need(step, "number")} on target ${step.target ?? 0}${pause}`;
}

function judged(step) {
  const verdict = need(step, "verdict");
  const what = String(need(step, "status") || "error");
  const whose = step.key ? ` of ${step.key}` : "";
  const hint = told(verdict.hint)
    ? ` (wait ${general(verdict.hint)} s, says ${need(verdict, "hint_source")})`
    : "";
  const retry = RETRIES[need(verdict, "retry")];
  if (retry === undefined) throw new TypeError("retry");
  return `${what}${whose}: ${need(verdict, "row")}${hint} -> ${KEYS[verdict.key ?? "none"] ?? ""}${retry}`;
}

const wait = (step) => (told(step.retry_after) ? `, next in ${general(step.retry_after)} s` : "");
const forModel = (step) => (step.model ? ` for model ${step.model}` : "");

function stopped(step) {
  const attempts = need(step, "attempts") === 1 ? "1 attempt" : `${step.attempts} attempts`;
  return `${need(step, "by")} gave up after ${attempts}: ${need(step, "reason")}`;
}

function called(step) {
  const first = told(step.first) ? `, first byte after ${general(step.first, 3)} s` : "";
  const end = `${step.end ?? "complete"} in ${general(need(step, "took"), 3)} s${first}`;
  return `${need(step, "upstream")} said ${step.status || "nothing"}${forModel(step)}: ${end}`;
}

function routed(step) {
  const asked = need(step, "upstream_model");
  const renamed = asked === need(step, "model") ? "" : ` as ${asked}`;
  return `model ${step.model} is asked of ${need(step, "target")}${renamed}`;
}

function ruled(step) {
  const said = { removed: "removed", overridden: "set", defaulted: "added" };
  const changes = Object.entries(said).filter(([name]) => step[name]?.length);
  return `rules ${changes.map(([name, word]) => `${word} ${step[name].join(", ")}`).join("; ")}`;
}

function used(step) {
  const more = ["cached", "reasoning", "audio_input", "audio_output"].filter((name) => step[name]).map((name) => `${step[name]} ${name}`);
  const beside = more.length ? ` (${more.join(", ")})` : "";
  return `used ${step.input ?? 0} tokens in, ${step.output ?? 0} out${beside}`;
}

const WORDS = {
  Attempted: attempted,
  KeyLeased: (step) => `asked pool ${quoted(need(step, "pool"))}, got ${need(step, "key")}`,
  PoolEmpty: (step) => `asked pool ${quoted(need(step, "pool"))}, no key: ${need(step, "reason")}${wait(step)}`,
  Judged: judged,
  Unreachable: (step) => `upstream not reached: ${need(step, "reason")}`,
  Broke: (step) => `the answer broke off: ${need(step, "reason")}`,
  Called: called,
  Closed: (step) => `the ${need(step, "by")} closed the websocket with code ${need(step, "code")}`,
  Committed: (step) => `${need(step, "status")} let through to the client`,
  Routed: routed,
  Ruled: ruled,
  Used: used,
  Lost: (step) => `translation lost ${need(step, "count")}: ${need(step, "paths").slice(0, 4).join(", ")}`,
  TurnedAway: (step) => `turned away at the door: ${step.code || need(step, "status")}`,
  Queued: (step) => `waited ${general(need(step, "seconds"), 3)} s for a key of pool ${quoted(need(step, "pool"))}`,
  Queueing: (step) => `pool ${quoted(need(step, "pool"))} has no key to give now`,
  Skipped: (step) => `no attempt on target ${need(step, "target")}: ${need(step, "reason")}${wait(step)}`,
  Stopped: stopped,
  Hedged: (step) =>
    `no content after ${general(need(step, "after"), 3)} s: target ${need(step, "target")} is tried beside it`,
  HedgeLost: (step) => `the ${need(step, "second") ? "second" : "first"} of both was slower, and was cut off`,
  KeptAlive: (step) => (need(step, "begins") ? "the stream began with a comment" : "kept alive by a comment"),
  BreakerOpened: (step) =>
    `target ${need(step, "target")} is left alone for ${general(need(step, "seconds"))} s${forModel(step)}`,
  BreakerClosed: (step) => `target ${need(step, "target")} is back${forModel(step)}`,
  AccountGroup: (step) => `answered by account ${need(step, "group")}`,
};

/** One step in words; a fact that is unknown here by its members. */
export function tell({ what, members = {} }) {
  try {
    if (Object.hasOwn(WORDS, what)) return WORDS[what](members);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return [what, ...Object.entries(members).map(([name, value]) => `${name}=${short(value)}`)].join(" ");
}

/** What the client saw at the end. */
export const saw = (trace) =>
  trace.status ? `${trace.status} ${trace.end ?? "complete"}` : `no answer, ${trace.end ?? "complete"}`;

const LOOKS = {
  Attempted: ["send", "info"],
  KeyLeased: ["key", "info"],
  PoolEmpty: ["empty", "bad"],
  Judged: ["cross", "bad"],
  Unreachable: ["cross", "bad"],
  Broke: ["cut", "bad"],
  Called: ["dot", "off"],
  Closed: ["dot", "off"],
  Committed: ["check", "good"],
  Routed: ["send", "info"],
  Ruled: ["dot", "info"],
  Used: ["dot", "off"],
  Lost: ["warn", "warn"],
  TurnedAway: ["bar", "bad"],
  Queued: ["wait", "warn"],
  Queueing: ["wait", "warn"],
  Skipped: ["bar", "warn"],
  Stopped: ["stop", "bad"],
  Hedged: ["send", "warn"],
  HedgeLost: ["cut", "off"],
  KeptAlive: ["dot", "off"],
  BreakerOpened: ["cross", "bad"],
  BreakerClosed: ["check", "good"],
};

/** The icon and the tone of a step. */
export const look = (what) => (Object.hasOwn(LOOKS, what) ? LOOKS[what] : ["dot", "off"]);

const FAULTS = {
  request: "The request itself is at fault: no key and no upstream will do better.",
  key: "This key is refused.",
  rate: "This key, or its organisation, is over a rate.",
  quota: "This key's money or quota is used up.",
  model: "The provider cannot serve this model now.",
  provider: "The provider as a whole is in trouble.",
  network: "Nobody was reached.",
  client: "The client went away.",
  self: "The gateway's own bounds: a queue, a pool or a deadline.",
};
const EMPTY = {
  tried: "every usable key has failed for this request",
  busy: "as many requests as allowed use the keys",
  limited: "the limits that are configured have no room",
  cooling: "the keys rest, as their provider asked",
  exhausted: "the keys are out of quota",
  blocked: "no key may use this model",
  disabled: "all keys are disabled",
  unknown: "what processes share cannot be reached",
};
const STOPS = {
  request: "trying again makes no sense",
  final: "trying again makes no sense",
  attempts: "all attempts were made",
  keys: "as many keys were tried as may be",
  calls: "no upstream call was left",
  deadline: "there was no time left",
  wait: "the wait that it asks for is over the cap",
  empty: "there was no other key",
  breaker: "the breaker was open",
  budget: "too much was repeated already",
  pace: "there was too little time for a first word",
  pinned: "it must not be asked again",
  drain: "the server was shutting down",
  plan: "the plan gave up",
};

/** Why, in a second line under what; null where the first says it all. */
export function because({ what, members = {} }) {
  switch (what) {
    case "Judged":
      return FAULTS[members.verdict?.fault] ?? null;
    case "PoolEmpty":
      return sentence(EMPTY[members.reason]);
    case "Stopped":
    case "Skipped":
      return sentence(STOPS[members.reason]);
    case "Attempted":
      return members.elsewhere ? "Another target follows when this one gives up." : null;
    case "Committed":
      return "From here on nothing can be tried again.";
    case "Unreachable":
      return members.processed ? "The upstream may have begun to work on it." : null;
    case "Lost":
      return members.paths?.length > 4 ? `Also: ${members.paths.slice(4).join(", ")}.` : null;
    default:
      return null;
  }
}

const sentence = (words) => (words ? `${words[0].toUpperCase()}${words.slice(1)}.` : null);
