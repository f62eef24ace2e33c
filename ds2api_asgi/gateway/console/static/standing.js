// How a key is on the whole. What the gateway tells is the worst of all its states, for whatever model: a key that rests
// for one model only still serves the others.

import { PARTLY, stateOf } from "./words.js";

const RESTING = new Set(["cooling", "exhausted", "blocked", "disabled"]);

/** In the order in which they are shown. */
export const STANDINGS = ["active", "half_open", "partly", "cooling", "blocked", "exhausted", "disabled", "off"];

/** Whether its state is one of some models alone. */
export const isPartly = (key) =>
  !key.switched_off && RESTING.has(key.state) &&
  Object.values(key.models ?? {}).some(([state]) => state === key.state);

/** One of `STANDINGS`, or a state that is not known yet. */
export function standing(key) {
  if (key.switched_off) return "off";
  return isPartly(key) ? "partly" : key.state;
}

/** How it is shown. */
export const standingOf = (name) => (name === "partly" ? PARTLY : stateOf(name, name === "off"));

/** Whether no request may use it, whatever the model. */
export const rests = (key) => key.switched_off || (RESTING.has(key.state) && !isPartly(key));

/** Whether an operator could end a rest. */
export const enabling = (key) => key.switched_off || RESTING.has(key.state);
