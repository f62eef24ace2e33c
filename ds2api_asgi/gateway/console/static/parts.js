// Pieces that several views have in common.

import { el, mark, parts, write } from "./dom.js";
import { icon, reicon } from "./icons.js";

/** A state as a word with an icon, in its tone; colour is never alone. */
export function chip(state) {
  const node = el("span", { class: "chip" }, icon("dot"), el("span", { "data-part": "word" }));
  return state ? rechip(node, state) : node;
}

export function rechip(node, { word, icon: name, tone, means }) {
  if (node.dataset.shown === `${word}/${name}/${tone}`) return node;
  node.dataset.shown = `${word}/${name}/${tone}`;
  node.dataset.tone = tone;
  reicon(node.firstChild, name);
  write(node.lastChild, word);
  mark(node, "title", means || null);
  return node;
}

/** What a view begins with; its heading takes the focus when the view is entered. */
export const heading = (title, words) =>
  el("div", { class: "heading" },
    el("h1", { tabindex: "-1" }, title),
    el("p", { class: "quiet" }, words));

/**
 * A table whose rows become cards where there is little room. The roles are said because a changed `display` takes
 * them away. `columns` are [name, title, more classes].
 */
export function table(name, caption, columns) {
  const head = columns.map(([key, title, more = ""]) =>
    el("th", { role: "columnheader", scope: "col", class: `at-${key} ${more}` }, title));
  const body = el("tbody", { role: "rowgroup" });
  const node = el("div", { class: "sheet" },
    el("table", { role: "table", class: `rows ${name}` },
      el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
      body));
  return { node, body };
}

/** A row of it: `cells` gives the content of each column by its name. */
export function row(columns, cells) {
  return el("tr", { role: "row" }, ...columns.map(([key, title, more = ""]) =>
    el("td", { role: "cell", class: `at-${key} ${more}`, "data-title": title, "data-part": key }, cells[key] ?? null)));
}

/** The parts of a row, looked up once. */
const known = new WeakMap();
export function partsOf(node) {
  let found = known.get(node);
  if (!found) known.set(node, (found = parts(node)));
  return found;
}

/** Words where there is nothing to show. */
export const empty = (words) => el("p", { class: "empty" }, words);

let fields = 0;
/** A label above an input. */
export function field(label, input) {
  input.id ||= `field-${(fields += 1)}`;
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input);
}

/** Ask before something is done; resolves to whether it shall be. Escape means no. */
export function confirmed(title, words, action) {
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": "dialog-title", "aria-describedby": "dialog-words" },
    el("form", { method: "dialog" },
      el("h2", { id: "dialog-title" }, title),
      el("p", { id: "dialog-words" }, words),
      el("div", { class: "buttons" },
        el("button", { value: "no", autofocus: true }, "Cancel"),
        el("button", { value: "yes", class: "danger" }, action))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
  });
}

/** Copy a text; where the page is not served securely, the old way. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not allowed: the old way may be.
    }
  }
  const area = el("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
