// Which requests run, and which have ended: states and events of the gateway, merged.

const KEPT = 300; // ended requests that the page remembers; the gateway tells 100 of them

export class Traffic {
  #live = new Map();
  #ended = new Map();

  /** The gateway tells it all. */
  state({ live = [], recent = [] }) {
    this.#live = new Map(live.map((one) => [one.id, one]));
    for (const one of recent.toReversed()) this.#end(one);
    this.#bound();
  }

  /** One has changed: whatever has a phase still runs. */
  request(one) {
    if (one.phase !== undefined && one.phase !== null) {
      this.#live.set(one.id, one);
      return;
    }
    this.#live.delete(one.id);
    this.#end(one);
    this.#bound();
  }

  #end(one) {
    this.#ended.set(one.id, one);
  }

  #bound() {
    if (this.#ended.size <= KEPT) return;
    this.#ended = new Map(this.recent().slice(0, KEPT).reverse().map((one) => [one.id, one]));
  }

  /** Newest first. */
  live() {
    return [...this.#live.values()].sort((one, other) => other.began - one.began);
  }

  /** Newest first. */
  recent() {
    return [...this.#ended.values()].sort((one, other) => other.when + (other.took ?? 0) - one.when - (one.took ?? 0));
  }

  find(id) {
    return this.#live.get(id) ?? this.#ended.get(id) ?? null;
  }

  runs(id) {
    return this.#live.has(id);
  }
}
