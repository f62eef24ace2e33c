// What the gateway is asked, and what it tells by itself. All addresses are relative: the console may be mounted anywhere.

const ALIVE = 6_000; // it speaks once a second; silent for so long, it is lost
const LONGEST = 15_000;

export class ApiError extends Error {
  constructor(status, problem, path = null) {
    super(problem);
    this.status = status;
    this.path = path;
  }
}

const csrf = () => document.querySelector('meta[name="csrf-token"]').content;

/** The session is over: the same address shows the way in, and what stands behind the # survives it. */
function leave() {
  location.reload();
}

/**
 * Ask for a document; with a body (or null) it is a POST. Raises ApiError: status 0 when nobody answered.
 */
export async function ask(path, body) {
  const options = { headers: { accept: "application/json" }, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["x-csrf-token"] = csrf();
    options.headers["content-type"] = "application/json";
    options.body = body === null ? "{}" : JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new ApiError(0, "The gateway cannot be reached.");
  }
  let document = null;
  try {
    document = await response.json();
  } catch {
    // Told below by its status.
  }
  if (response.status === 401) leave();
  if (!response.ok || document === null) throw problem(response.status, document);
  return document;
}

/** {"error": "words", "path": …} or {"error": {"message": …}}: both are understood. */
function problem(status, document) {
  const error = document?.error;
  const words = typeof error === "string" ? error : error?.message;
  return new ApiError(status, words ?? `The gateway answered ${status}.`, document?.path ?? error?.path ?? null);
}

/** Where a key is asked to do something. */
export const keyPath = (pool, alias, action) =>
  `keys/${encodeURIComponent(pool)}/${encodeURIComponent(alias)}/${action}`;

/**
 * Listen as long as the page is seen.
 *
 * `told(name, document)` is called for each event, `linked(state, seconds)` when the connection is "live",
 * "connecting" or "lost" (then it is tried again in so many seconds). Gives a function that tries at once.
 */
export function listen(told, linked) {
  let source = null;
  let timer = 0;
  let watchdog = 0;
  let failures = 0;

  function close() {
    clearTimeout(timer);
    clearTimeout(watchdog);
    source?.close();
    source = null;
  }

  function heard() {
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, ALIVE);
    failures = 0;
    linked("live");
  }

  async function lost() {
    close();
    failures += 1;
    const pause = Math.min(LONGEST, 500 * 2 ** failures) * (0.8 + 0.4 * Math.random());
    linked("lost", pause / 1000);
    timer = setTimeout(open, pause);
    // An event source tells no status: is the gateway away, or only the session over?
    await ask("state").catch(() => {});
  }

  function open() {
    close();
    if (document.hidden) return; // `visibilitychange` opens it again
    if (!failures) linked("connecting");
    source = new EventSource("api/events");
    watchdog = setTimeout(lost, ALIVE);
    source.onerror = lost; // its own pause is a fixed one, and refusals end it for good
    for (const name of ["state", "request"]) {
      source.addEventListener(name, (event) => {
        heard();
        told(name, JSON.parse(event.data));
      });
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  addEventListener("pagehide", close);
  open();
  return () => {
    failures = 0;
    open();
  };
}
