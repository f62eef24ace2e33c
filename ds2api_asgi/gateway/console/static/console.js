// The console: views by the address behind the #, one state that all of them draw from, the theme.

import { listen } from "./api.js";
import { bench } from "./bench.js";
import { el, mark, show, write } from "./dom.js";
import { keys } from "./keys.js";
import { overview } from "./overview.js";
import { requests } from "./requests.js";
import { Traffic } from "./traffic.js";
import { countdown, silentOf } from "./words.js";

const views = { overview, keys, requests, bench };
const content = document.getElementById("content");
const link = document.getElementById("link");
const linkWords = document.getElementById("link-words");
const again = document.getElementById("link-again");
const tabs = [...document.querySelectorAll("nav a[data-view]")];

const traffic = new Traffic();
let state = null;
let received = 0; // when, by the page's own clock: the gateway's may be another
let current = null;
let scheduled = false;

const waiting = el("p", { class: "empty", role: "status" }, "Waiting for the gateway's first word…");
const partial = show(el("p", { class: "notice partial", role: "status" }), false);
content.append(waiting, partial, ...Object.values(views).map((view) => show(view.node, false)));

/** Draw what is seen, once a frame however much has come. */
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  const view = views[current];
  const ready = state !== null || view === bench;
  show(waiting, !ready);
  const silent = ready && view !== bench ? silentOf(state) : "";
  show(partial, Boolean(silent));
  write(partial, silent && `${silent}. What happens there is missing here.`);
  for (const other of Object.values(views)) show(other.node, ready && other === view);
  if (ready && state) view.render(state, (performance.now() - received) / 1000, schedule, traffic);
}

/** #/requests/ID → ["requests", "ID"]. */
function address() {
  const [, name, ...rest] = location.hash.split("/");
  const known = Object.hasOwn(views, name ?? "") ? name : "overview";
  let more = rest.join("/");
  try {
    more = decodeURIComponent(more);
  } catch {
    // Not one of ours: as it stands.
  }
  return [known, more];
}

function go(moved) {
  if (location.hash && !location.hash.startsWith("#/")) return; // the link that skips to the content
  const [name, rest] = address();
  const changed = name !== current;
  current = name;
  document.title = `${views[name].title} · ds2api`;
  for (const tab of tabs) mark(tab, "aria-current", tab.dataset.view === name ? "page" : null);
  draw();
  const target = views[name].enter?.(rest);
  draw();
  if (!moved) return;
  const focus = target ?? (changed ? views[name].node.querySelector("h1") : null);
  focus?.focus({ preventScroll: !target });
  if (changed && !target) scrollTo(0, 0);
}

addEventListener("hashchange", () => go(true));

const LINKS = { live: "Live", connecting: "Connecting", lost: "Connection lost" };
let retryAt = 0;

function linked(to, seconds) {
  if (to === "lost") retryAt = performance.now() + seconds * 1000;
  mark(link, "data-link", to);
  mark(content, "data-stale", to === "lost" && state !== null ? "yes" : null);
  show(again, to === "lost");
  // Told once: the seconds that follow run silently.
  if (to === "lost" && linkWords.dataset.said !== "lost") write(document.getElementById("said"), "The connection to the gateway is lost.");
  if (to === "live" && linkWords.dataset.said === "lost") write(document.getElementById("said"), "The connection is back.");
  if (to !== "connecting") linkWords.dataset.said = to;
  tick();
}

function tick() {
  const to = link.dataset.link;
  const left = to === "lost" ? `, again in ${countdown((retryAt - performance.now()) / 1000)}` : "";
  write(linkWords, `${LINKS[to]}${left}`);
}

setInterval(() => {
  tick();
  if (performance.now() - received > 900) schedule(); // countdowns, while no state does it
}, 1000);

const retry = listen((name, document) => {
  if (name === "state") {
    state = document;
    received = performance.now();
    traffic.state(document);
  } else {
    traffic.request(document);
    if (!views[current].followsRequests) return; // all other views draw states
  }
  schedule();
}, linked);
again.addEventListener("click", () => {
  retry();
  tabs.find((tab) => tab.dataset.view === current)?.focus();
});

const themes = document.getElementById("theme");
for (const input of themes.querySelectorAll("input")) {
  input.checked = input.value === (document.documentElement.dataset.theme ?? "system");
  input.addEventListener("change", () => {
    const system = input.value === "system";
    if (system) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = input.value;
    try {
      if (system) localStorage.removeItem("ds2api-theme");
      else localStorage.setItem("ds2api-theme", input.value);
    } catch {
      // Storage may be forbidden: the choice lasts as long as the page.
    }
  });
}

go(false);
