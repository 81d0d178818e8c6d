// Answers that the site has not confirmed yet, kept in the browser's storage, so that a closed tab, a lost
// network, a restarted server or an ended session loses none. Each batch has a key of its own: sent twice, it
// is stored once. Every batch is a storage entry of its own, so that two tabs never overwrite each other.

const memory = new Map(); // where the browser allows no storage: holds for this page

export const storage = {
  get(key) {
    try { return localStorage.getItem(key) ?? memory.get(key) ?? null; } catch { return memory.get(key) ?? null; }
  },
  set(key, text) {
    try { localStorage.setItem(key, text); memory.delete(key); } catch { memory.set(key, text); }
  },
  remove(key) {
    memory.delete(key);
    try { localStorage.removeItem(key); } catch { /* nothing there */ }
  },
  keys(prefix) {
    const found = new Set([...memory.keys()].filter((key) => key.startsWith(prefix)));
    try {
      for (let i = 0; i < localStorage.length; i += 1) {
        const key = localStorage.key(i);
        if (key.startsWith(prefix)) found.add(key);
      }
    } catch { /* memory only */ }
    return [...found];
  },
};

export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

const WAITS = [1, 2, 4, 8, 15, 30]; // seconds between tries

export class Outbox extends EventTarget {
  /** @param worker whose answers these are; @param post (body, keepalive) => Promise<Response> */
  constructor(worker, post) {
    super();
    this.prefix = `assay.outbox.${worker}.`;
    this.post = post;
    this.state = "saved"; // saved, saving, waiting, login
    this.failures = 0;
    this.running = null;
    this.timer = 0;
    addEventListener("online", () => this.flush());
    addEventListener("focus", () => { if (this.state !== "saved") this.flush(); });
  }

  entries() {
    return storage.keys(this.prefix)
      .map((name) => ({ name, ...parse(storage.get(name)) }))
      .filter((entry) => entry.body && !entry.refused)
      .sort((a, b) => a.at - b.at);
  }

  pending() {
    return this.entries().reduce((sum, entry) => sum + entry.body.votes.length, 0);
  }

  /** Keep answers and start sending. */
  put(assignment, votes) {
    const key = randomKey();
    const body = { assignment, key, votes };
    storage.set(this.prefix + key, JSON.stringify({ at: Date.now(), body }));
    this.flush();
  }

  /** Send what is kept, oldest first; one run at a time. */
  flush() {
    clearTimeout(this.timer);
    this.running ??= this.#run().finally(() => { this.running = null; });
    return this.running;
  }

  /** The page is going away: send without waiting for an answer. Entries stay until they are confirmed. */
  sendAndLeave() {
    for (const entry of this.entries()) this.post(entry.body, true).catch(() => {});
  }

  async #run() {
    for (let entries = this.entries(); entries.length; entries = this.entries()) {
      this.#say("saving");
      const entry = entries[0];
      let response;
      try {
        response = await this.post(entry.body, false);
        if (response.ok) {
          const { results } = await response.json();
          storage.remove(entry.name);
          this.failures = 0;
          this.dispatchEvent(new CustomEvent("stored", { detail: results }));
          continue;
        }
      } catch {
        response = null; // no network, or half an answer: the key makes another try safe
      }
      if (response && [404, 409, 413, 422].includes(response.status)) {
        await this.#refuse(entry, response); // trying again would not help, and the rest must go on
        continue;
      }
      this.#say(response && [401, 403].includes(response.status) ? "login" : "waiting");
      this.failures += 1;
      const wait = WAITS[Math.min(this.failures, WAITS.length) - 1];
      this.timer = setTimeout(() => this.flush(), wait * 1000);
      return;
    }
    this.#say("saved");
  }

  async #refuse(entry, response) {
    const problem = await response.json().catch(() => ({}));
    const { name, ...kept } = entry;
    storage.set(name, JSON.stringify({ ...kept, refused: problem.detail ?? String(response.status) }));
    this.dispatchEvent(new CustomEvent("refused", { detail: { count: entry.body.votes.length, why: problem.detail } }));
  }

  #say(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
