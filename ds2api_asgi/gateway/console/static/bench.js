// The translator bench: a document in one protocol, seen in all of them, with what each could not carry.

import { ApiError, ask } from "./api.js";
import { el, keyed, mark, say, show, write } from "./dom.js";
import { example } from "./examples.js";
import { guess } from "./guess.js";
import { icon } from "./icons.js";
import { indent } from "./indent.js";
import { chip, copy, field, heading, partsOf, rechip } from "./parts.js";
import { place } from "./place.js";
import { PROTOCOLS, many, protocolOf } from "./words.js";

const title = "Translator";
const KINDS = ["request", "response", "stream", "error"];

const text = el("textarea", {
  rows: "16", spellcheck: "false", autocomplete: "off", autocapitalize: "off", class: "paper", oninput: look,
  "aria-describedby": "bench-problem bench-guess",
  onkeydown(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) translate();
  },
});
const choice = (options) => el("select", { onchange: look }, el("option", { value: "" }, "Guess"), ...options);
const kind = choice(KINDS.map((name) => el("option", { value: name }, name[0].toUpperCase() + name.slice(1))));
const source = choice(PROTOCOLS.map((name) => el("option", { value: name }, protocolOf(name))));
const guessed = el("p", { class: "quiet", id: "bench-guess" });
const problem = el("p", { class: "problem", id: "bench-problem", role: "alert" });
const problemWords = el("span");
const problemPath = el("code");
const goThere = el("button", { type: "button", class: "small-button" }, "Show it");
const button = el("button", { type: "button", class: "main", onclick: translate }, "Translate");
const results = el("div", { class: "results" });
const nothing = el("p", { class: "empty" }, "Paste a document or take an example: here it is shown in every protocol, each with what it could not carry.");
problem.append(problemPath, problemWords, goThere);

const node = el("div", { class: "view" },
  heading(title, "One document in every protocol, with what is lost on the way. Nothing is sent to a provider."),
  el("div", { class: "bench" },
    el("section", { class: "card stack", "aria-label": "The document" },
      el("div", { class: "examples", role: "group", "aria-label": "Examples" },
        el("span", { class: "quiet" }, "Examples"),
        ...PROTOCOLS.map((name) => el("button", {
          type: "button", class: "small-button", onclick() {
            kind.value = source.value = "";
            text.value = example(name);
            look();
            translate();
          },
        }, protocolOf(name)))),
      field("Document", text),
      problem,
      el("div", { class: "toolbar" }, field("Kind", kind), field("Protocol", source), button),
      guessed),
    el("section", { class: "outcome", "aria-label": "Translations" }, nothing, results)));

/** What it is: as chosen, else as guessed. */
function meant() {
  const found = guess(text.value);
  return { kind: kind.value || found.kind, source: source.value || found.source };
}

function look() {
  complain(null);
  if (!text.value.trim() || (kind.value && source.value)) {
    write(guessed, "");
    return;
  }
  const found = meant();
  write(guessed, found.kind && found.source ? `It looks like ${/^[aeio]/i.test(protocolOf(found.source)) ? "an" : "a"} ${protocolOf(found.source)} ${found.kind}.` : "");
}

function complain(words, path) {
  show(problem, Boolean(words));
  mark(text, "aria-invalid", words ? "true" : null);
  write(problemWords, words ?? "");
  show(problemPath, Boolean(path));
  write(problemPath, path ? `${path}:` : "");
  const found = path ? place(text.value, path) : null;
  show(goThere, Boolean(found));
  goThere.onclick = () => point(...found);
}

/** Select a part of the document, and bring it into sight. */
function point(start, end) {
  text.focus();
  text.setSelectionRange(start, end);
  const line = text.value.slice(0, start).split("\n").length;
  text.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(text).lineHeight));
}

let asked = 0;
async function translate() {
  const turn = (asked += 1);
  if (!text.value.trim()) {
    complain("There is nothing to translate yet.");
    text.focus();
    return;
  }
  const found = meant();
  if (!found.kind || !found.source) {
    const both = `${found.kind ? "" : "its kind"}${!found.kind && !found.source ? " and " : ""}${found.source ? "" : "its protocol"}`;
    complain(`It cannot be told what this is: please choose ${both}.`);
    (found.kind ? source : kind).focus();
    return;
  }
  button.disabled = true;
  complain(null);
  try {
    const { targets } = await ask("translate", { ...found, document: text.value });
    if (turn !== asked) return;
    const wrong = wholly(targets);
    draw(wrong ? {} : targets, found.source);
    if (!wrong) return;
    complain(wrong.error, wrong.path);
    text.focus();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (turn !== asked) return;
    draw({}, null);
    complain(error.message);
  } finally {
    button.disabled = false;
  }
}

/** What is wrong with the document itself, when every protocol says the same; else null. */
function wholly(targets) {
  const [first, ...others] = Object.values(targets);
  if (first?.error === undefined) return null;
  return others.every((one) => one.error === first.error && one.path === first.path) ? first : null;
}

function makeResult() {
  const pre = el("pre", { class: "document", tabindex: "0", "data-part": "text" });
  const done = el("span", {}, "Copy");
  return el("section", { class: "card result-of" },
    el("div", { class: "card-head" },
      el("h2", { "data-part": "name" }), chip(),
      el("button", {
        type: "button", class: "small-button", "data-part": "copy", async onclick() {
          const ok = await copy(pre.textContent);
          write(done, ok ? "Copied" : "Not allowed");
          say(ok ? "Copied." : "Copying was not allowed.");
          setTimeout(() => write(done, "Copy"), 2_000);
        },
      }, icon("copy"), done)),
    el("p", { class: "problem", "data-part": "problem" }),
    el("code", { class: "quiet block route", "data-part": "route" }),
    el("ul", { class: "losses", "data-part": "losses" }),
    pre);
}

const LOSSES = {
  dropped: "Dropped", clamped: "Clamped", approximated: "Approximated", relocated: "Moved", textualised: "Made text",
  invented: "Invented", stateful: "State elsewhere", origin_mismatch: "Another's secret text",
};

function updateResult(section, [name, result]) {
  const at = partsOf(section);
  mark(section, "aria-label", protocolOf(name));
  write(at.name, protocolOf(name));
  mark(at.text, "aria-label", `The document in ${protocolOf(name)}`);
  mark(at.copy, "aria-label", `Copy ${protocolOf(name)}`);
  const losses = result.losses ?? [];
  const bad = result.error !== undefined;
  const looks = bad ? { word: "Not possible", icon: "cross", tone: "bad" }
    : losses.length ? { word: many(losses.length, "loss", "losses"), icon: "warn", tone: "warn" }
      : { word: "Nothing lost", icon: "check", tone: "good" };
  rechip(section.querySelector(".chip"), looks);
  show(at.problem, bad);
  write(at.problem, bad ? [result.path, result.error].filter(Boolean).join(": ") : "");
  show(at.text, !bad);
  show(at.copy, !bad);
  write(at.text, indent(result.document ?? ""));
  at.text.scrollTop = 0;
  write(at.route, result.route ?? "");
  show(at.losses, losses.length > 0);
  at.losses.replaceChildren(...losses.map((loss) =>
    el("li", {},
      el("span", { class: "loss-kind" }, LOSSES[loss.kind] ?? loss.kind), " ",
      el("code", {}, loss.path), ": ",
      el("span", { class: "quiet" }, loss.reason))));
}

function draw(targets, from) {
  const list = PROTOCOLS.filter((name) => Object.hasOwn(targets, name));
  for (const name of Object.keys(targets)) if (!list.includes(name)) list.push(name);
  const others = list.filter((name) => name !== from);
  show(nothing, !list.length);
  keyed(results, [...others, ...list.filter((name) => name === from)].map((name) => [name, targets[name]]), ([name]) => name, makeResult, updateResult);
  if (!list.length) return;
  const lossy = list.filter((name) => targets[name].losses?.length).length;
  say(`Shown in ${list.length} protocols, ${lossy} of them with losses.`);
}

complain(null);
export const bench = { title, node, render() {} };
