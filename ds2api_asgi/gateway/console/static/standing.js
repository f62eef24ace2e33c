// How a key is on the whole. What the gateway tells is the worst of all its states, for whatever model: a key that rests
// for one model only still serves the others.

import { PARTLY, stateOf } from "./words.js";

const RESTING = new Set(["cooling", "exhausted", "blocked", "disabled"]);

/** In the order in which they are shown. */
export const STANDINGS = ["active", "half_open", "partly", "cooling", "blocked", "exhausted", "disabled", "off"];

/** The state that it has for every model, and the seconds until that ends. */
export const wholeOf = (key) => ({ state: key.whole[0], until: key.whole[1] });

/** Whether it rests for some models, and may be used for the others. */
export const isPartly = (key) =>
  !RESTING.has(key.whole[0]) && Object.values(key.models).some(([state]) => RESTING.has(state));

/** One of `STANDINGS`, or a state that is not known yet. */
export function standing(key) {
  if (key.switched_off) return "off";
  return isPartly(key) ? "partly" : key.whole[0];
}

/** How it is shown. */
export const standingOf = (name) => (name === "partly" ? PARTLY : stateOf(name, name === "off"));

/** Whether no request may use it, whatever the model. */
export const rests = (key) => key.switched_off || RESTING.has(key.whole[0]);

/** Whether an operator could end a rest. */
export const enabling = (key) => key.switched_off || RESTING.has(key.state);
