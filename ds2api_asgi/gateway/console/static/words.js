// Numbers, times and states in words. Nothing here knows of the page.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const DASH = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** 1234 → "1,234"; 123456 → "123k". */
export function count(value) {
  if (!known(value)) return DASH;
  const size = Math.abs(value);
  if (size < 100_000) return whole.format(value);
  if (size < 999_500) return `${whole.format(value / 1e3)}k`;
  return size < 9_995_000 ? `${Number((value / 1e6).toPrecision(3))}M` : `${whole.format(value / 1e6)}M`;
}

/** What other workers did not tell: "1 of 2 workers did not answer"; "" where all told. */
export const silentOf = ({ missing, workers }) =>
  missing ? `${count(missing)} of ${count(workers)} workers did not answer` : "";

/** A number per second: three digits are enough. */
export function rate(value) {
  if (!known(value)) return DASH;
  if (value >= 100) return whole.format(value);
  if (value >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

/** 0.0004 → "<1 ms"; 0.32 → "320 ms"; 1.24 → "1.24 s"; 75 → "1 min 15 s". */
export function duration(seconds) {
  if (!known(seconds)) return DASH;
  if (seconds < 0.001) return seconds > 0 ? "<1 ms" : "0 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  return long(seconds);
}

/** The same, short and round: what stands at an axis. */
export function roundDuration(seconds) {
  if (seconds === 0) return "0";
  const trimmed = (number) => String(Number(number.toPrecision(2)));
  if (seconds < 1) return `${trimmed(seconds * 1000)} ms`;
  return seconds < 60 ? `${trimmed(seconds)} s` : `${trimmed(seconds / 60)} min`;
}

/** 75 → "1 min 15 s"; 93784 → "1 d 2 h". */
export function long(seconds) {
  const all = Math.round(seconds);
  const [days, hours, minutes, rest] = [
    Math.floor(all / 86_400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60,
  ];
  const two = (big, unit, small, less) => `${big} ${unit}${small ? ` ${small} ${less}` : ""}`;
  if (days) return two(days, "d", hours, "h");
  if (hours) return two(hours, "h", minutes, "min");
  if (minutes) return two(minutes, "min", rest, "s");
  return `${rest} s`;
}

/** What is left, as a clock that runs down: 42 → "0:42"; 3723 → "1:02:03"; beyond a day as `long`. */
export function countdown(seconds) {
  if (!known(seconds)) return DASH;
  const left = Math.max(0, Math.ceil(seconds));
  if (left >= 86_400) return long(left);
  const pair = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
  return hours ? `${hours}:${pair(minutes)}:${pair(left % 60)}` : `${minutes}:${pair(left % 60)}`;
}

/** The time of day; the day as well when it is another one. */
export function clock(unix, now = Date.now() / 1000) {
  if (!known(unix)) return DASH;
  const when = new Date(unix * 1000);
  const time = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const sameDay = when.toDateString() === new Date(now * 1000).toDateString();
  return sameDay ? time : `${when.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

/** 0.0213 → "2.1%"; 0 of anything is "0%". */
export function percent(part) {
  if (!known(part)) return DASH;
  const value = part * 100;
  if (value > 0 && value < 0.1) return "<0.1%";
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, "")}%`;
}

/** Dollars: small amounts with the digits that say something. */
export function dollars(value) {
  if (value === null || value === undefined || value === "") return null;
  const amount = Number(value);
  if (!Number.isFinite(amount)) return null;
  if (amount === 0) return "$0";
  return amount < 0.01 ? `$${amount.toPrecision(2).replace(/e.*$/, "")}` : `$${amount.toFixed(2)}`;
}

/** 1 key, 2 keys. */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

const states = {
  active: { word: "Active", icon: "check", tone: "good", means: "requests may use it" },
  half_open: { word: "On trial", icon: "half", tone: "info", means: "one request may try whether it works again" },
  cooling: { word: "Cooling", icon: "clock", tone: "warn", means: "the provider asked to wait" },
  exhausted: { word: "Out of quota", icon: "empty", tone: "bad", means: "its quota is used up" },
  blocked: { word: "Blocked", icon: "bar", tone: "odd", means: "it may not use this model" },
  disabled: { word: "Disabled", icon: "cross", tone: "bad", means: "the provider refused it" },
};
/** Resting for some models, not for all. */
export const PARTLY = { word: "Partly resting", icon: "half", tone: "warn", means: "it rests for some models" };
const off = { word: "Switched off", icon: "power", tone: "off", means: "an operator switched it off" };

/** How a state is shown; one of a version that is not known yet by its own name. */
export const stateOf = (name, switchedOff = false) =>
  switchedOff ? off : states[name] ?? { word: String(name), icon: "dot", tone: "info", means: "" };

/** Worst first. */
export const STATES = ["exhausted", "disabled", "blocked", "cooling", "half_open", "active"];

const breakers = {
  closed: { word: "Closed", icon: "check", tone: "good", means: "requests pass" },
  open: { word: "Open", icon: "cross", tone: "bad", means: "it is left alone" },
  half_open: { word: "On trial", icon: "half", tone: "info", means: "a few requests may try whether it is back" },
};
export const breakerOf = (name) => breakers[name] ?? { word: String(name), icon: "dot", tone: "info", means: "" };

const ends = {
  complete: { word: "Complete", icon: "check", tone: "good" },
  failed: { word: "Failed", icon: "cross", tone: "bad" },
  cut: { word: "Cut off", icon: "cut", tone: "bad" },
  gone: { word: "Client left", icon: "away", tone: "warn" },
  raised: { word: "Raised", icon: "cross", tone: "bad" },
  cancelled: { word: "Cancelled", icon: "bar", tone: "warn" },
};
export const endOf = (name) => ends[name] ?? { word: String(name), icon: "dot", tone: "info" };

const protocols = {
  "openai-chat": "OpenAI Chat",
  "openai-responses": "OpenAI Responses",
  anthropic: "Anthropic Messages",
  gemini: "Gemini",
  ollama: "Ollama",
};
export const PROTOCOLS = Object.keys(protocols);
export const protocolOf = (name) => protocols[name] ?? name ?? DASH;
