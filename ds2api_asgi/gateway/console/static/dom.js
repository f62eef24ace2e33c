// Elements made without markup: whatever a name holds, it becomes text and nothing else.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element of the page: el("p", {class: "quiet", onclick}, "text", child). */
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** The same for drawings. */
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A text that is written only when it is another: what did not change is neither laid out nor read out again. */
export function write(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  return node;
}

/** An attribute likewise; null takes it away. */
export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  return node;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
  return node;
}

/** A class that is there or not. */
export const flag = (node, name, on) => node.classList.toggle(name, Boolean(on));

const kept = new WeakMap();

/**
 * The children of `parent`, one for each item and in their order. A child stays as long as its key is there, so focus,
 * selection and scroll positions stay as well; `update` is called for every one of them.
 */
export function keyed(parent, items, key, make, update) {
  const old = kept.get(parent) ?? new Map();
  const now = new Map();
  for (const item of items) {
    const name = key(item);
    if (!now.has(name)) now.set(name, old.get(name) ?? make(item));
  }
  for (const [name, node] of old) if (now.get(name) !== node) node.remove();
  let next = parent.firstChild;
  for (const node of now.values()) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
  kept.set(parent, now);
  const seen = new Set();
  for (const item of items) {
    const name = key(item);
    if (seen.has(name)) continue;
    seen.add(name);
    update(now.get(name), item);
  }
}

/** Parts of a node by their attribute data-part. */
export function parts(node) {
  const found = {};
  for (const part of node.querySelectorAll("[data-part]")) found[part.dataset.part] ??= part;
  return found;
}

/** Tell people who do not see the page; used for what they asked for, not for what changes by itself. */
export function say(words) {
  const said = document.getElementById("said");
  said.textContent = "";
  requestAnimationFrame(() => {
    said.textContent = words;
  });
}
