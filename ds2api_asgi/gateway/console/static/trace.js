// One request: what was decided for it, when, and why.

import { ApiError, ask } from "./api.js";
import { el, flag, say, show, write } from "./dom.js";
import { icon } from "./icons.js";
import { chip, copy, rechip } from "./parts.js";
import { because, look, saw, tell } from "./story.js";
import { clock, duration, endOf, protocolOf } from "./words.js";

const at = (seconds) => `${seconds < 0 ? "" : "+"}${seconds.toFixed(3)} s`;

/** The same lines as `ds2api explain` writes, for the clipboard. */
export function textOf(trace) {
  const asked = [trace.protocol, trace.operation, trace.model].filter(Boolean).join(" ");
  const when = new Date(trace.when * 1000).toISOString().slice(0, 19).replace("T", " ");
  const pad = (words) => words.padStart(10);
  const lines = [`${trace.id}  ${when} UTC  ${asked}${trace.caller ? ` for ${trace.caller}` : ""}`];
  const steps = trace.steps ?? [];
  steps.forEach((step, index) => {
    if (trace.omitted && index === Math.floor(steps.length / 2)) lines.push(`  ${pad("")}  … ${trace.omitted} more`);
    lines.push(`  ${pad(at(step.at))}  ${tell(step)}`);
  });
  lines.push(`  ${pad(at(trace.took))}  the client saw: ${saw(trace)}`);
  if (trace.why) lines.push(`  ${pad("")}  stopped because: ${trace.why}`);
  return lines.join("\n");
}

/** A step with its moment, and the time since the one before as a bar. */
function moment(seconds, before, took, [name, tone], words, more) {
  const bar = el("span", { class: "span-fill", "data-tone": tone });
  const share = (part) => `${Math.min(100, Math.max(0, took > 0 ? (part / took) * 100 : 0))}%`;
  bar.style.left = share(before);
  bar.style.width = `calc(${share(seconds - before)} + 3px)`;
  return el("li", { class: "moment" },
    el("time", { class: "moment-at" }, at(seconds)),
    el("span", { class: "moment-mark", "data-tone": tone }, icon(name)),
    el("div", { class: "moment-words" },
      el("p", {}, words),
      more && el("p", { class: "quiet small" }, more),
      el("span", { class: "span-track", "aria-hidden": "true" }, bar)));
}

function timeline(trace) {
  const steps = trace.steps ?? [];
  const items = [];
  let before = 0;
  steps.forEach((step, index) => {
    if (trace.omitted && index === Math.floor(steps.length / 2)) {
      items.push(el("li", { class: "moment-gap quiet" }, `… ${trace.omitted} more`));
    }
    items.push(moment(step.at, before, trace.took, look(step.what), tell(step), because(step)));
    before = step.at;
  });
  const end = endOf(trace.end ?? "complete");
  const why = trace.why ? `Stopped because: ${trace.why}` : null;
  items.push(moment(trace.took, before, trace.took, [end.icon, end.tone], `the client saw: ${saw(trace)}`, why));
  return el("ol", { class: "timeline" }, ...items);
}

/** The side of the view that shows one request; `leave` goes back to the list. */
export function traceView(leave) {
  const title = el("h2", { tabindex: "-1" });
  const state = chip();
  const facts = el("dl", { class: "facts" });
  const body = el("div", { class: "trace-body" });
  const notice = el("p", { class: "empty" });
  const asText = el("button", { type: "button" }, icon("copy"), "Copy as text");
  const raw = el("pre", { class: "document", tabindex: "0", "aria-label": "The trace as JSON" });
  const rawDetails = el("details", {}, el("summary", {}, "As JSON"), raw);
  const node = el("section", { class: "card detail", "aria-label": "The decisions of a request", hidden: true },
    el("div", { class: "card-head" },
      el("button", { type: "button", class: "plain back", onclick: leave }, icon("back"), "All requests"),
      asText),
    el("div", { class: "trace-title" }, title, state),
    facts, notice, body, rawDetails);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
  });
  let id = null;
  let trace = null;
  let problem = null;
  let asking = false;
  let misses = 0;
  asText.addEventListener("click", async () => {
    if (trace) say((await copy(textOf(trace))) ? "Copied." : "Copying was not allowed.");
  });

  async function load() {
    const wanted = id;
    asking = true;
    problem = null;
    try {
      const answer = await ask(`requests/${encodeURIComponent(wanted)}`);
      if (wanted !== id) return;
      trace = answer.trace;
      draw();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (wanted !== id) return;
      misses += 1; // one that ended just now may be written down a moment later
      if (error.status !== 404) problem = error.message;
      else if (misses > 2) problem = "No trace of this request is kept: it is too old, or never was one.";
    } finally {
      asking = false;
      if (problem) write(notice, problem);
    }
  }

  function fact(name, value) {
    return value ? el("div", {}, el("dt", {}, name), el("dd", {}, value)) : null;
  }

  function about(one, took) {
    write(title, one.model ?? one.operation ?? one.id);
    facts.replaceChildren(...[
      fact("Asked", [protocolOf(one.protocol), one.operation].filter(Boolean).join(", ")),
      fact("Caller", one.caller),
      fact("Began", clock(one.when ?? one.began)),
      fact("Took", took),
      fact("Id", el("code", {}, one.id)),
    ].filter(Boolean));
  }

  function draw() {
    about(trace, duration(trace.took));
    const end = endOf(trace.end ?? "complete");
    rechip(state, trace.status ? { ...end, word: `${trace.status} ${end.word.toLowerCase()}` } : end);
    body.replaceChildren(timeline(trace));
    write(raw, JSON.stringify(trace, null, 2));
    show(notice, false);
    for (const part of [body, rawDetails, asText, state]) show(part, true);
  }

  return {
    node,
    open(wanted) {
      show(node, true);
      if (wanted === id && trace) return title;
      id = wanted;
      trace = null;
      problem = null;
      misses = 0;
      write(title, "Request");
      facts.replaceChildren(fact("Id", el("code", {}, id)));
      for (const part of [body, rawDetails, asText, state]) show(part, false);
      show(notice, true);
      write(notice, "Looking for its trace…");
      flag(node, "is-live", false);
      return title;
    },
    close() {
      id = null;
      trace = null;
      show(node, false);
    },
    /** Called with each state: a request that runs has no trace until it ends. */
    render(wanted, traffic, now) {
      if (!wanted || wanted !== id || trace) return;
      const live = traffic.runs(id) ? traffic.find(id) : null;
      flag(node, "is-live", Boolean(live));
      if (live) {
        about(live, `${duration(Math.max(0, now - live.began))} so far`);
        write(notice, "It still runs; its decisions are told when it has ended.");
        problem = null;
        misses = 0;
      } else if (!asking && !problem) {
        load();
      }
    },
  };
}
