// Answers that the site has not confirmed yet, kept in the browser's storage, so that a closed tab, a lost
// network, a restarted server or an ended session loses none. Each batch has a key of its own: sent twice, it
// is stored once. Every batch is a storage entry of its own, so that two tabs never overwrite each other. For the
// first seconds an entry may be held back: until it is due its answers can be taken back and given anew.

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
    this.state = "saved"; // saved, held, saving, waiting, login
    this.failures = 0;
    this.running = null;
    this.timer = 0;
    for (const entry of this.entries()) this.#release(entry); // an earlier page may have sent them as it left
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

  /** Keep answers, and send them after `hold` ms; gives the name by which they can be taken back until then. */
  put(assignment, votes, hold = 0) {
    const key = randomKey();
    const body = { assignment, key, votes };
    const now = Date.now();
    storage.set(this.prefix + key, JSON.stringify({ at: now, due: now + hold, body }));
    this.flush();
    return this.prefix + key;
  }

  /** Take answers back that were not sent yet; null where it is too late. */
  take(name) {
    const entry = parse(storage.get(name));
    if (!entry || !(entry.due > Date.now())) return null;
    storage.remove(name);
    this.flush();
    return entry.body;
  }

  #release({ name, ...entry }) {
    if (entry.due > 0) storage.set(name, JSON.stringify({ ...entry, due: 0 }));
  }

  /** Send what is due, oldest first; one run at a time. `all`: what is held back is due now. */
  flush({ all = false } = {}) {
    clearTimeout(this.timer);
    if (all) for (const entry of this.entries()) this.#release(entry);
    this.running ??= this.#run().finally(() => { this.running = null; });
    return this.running;
  }

  /** The page is going away: send without waiting for an answer. Entries stay until they are confirmed. */
  sendAndLeave() {
    for (const entry of this.entries()) {
      this.#release(entry);
      this.post(entry.body, true).catch(() => {});
    }
  }

  async #run() {
    for (let entries = this.entries(); entries.length; entries = this.entries()) {
      const now = Date.now();
      const entry = entries.find(({ due, at }) => !(due > now) || at > now); // no clock that was set back holds it
      if (!entry) {
        this.#say("held");
        this.timer = setTimeout(() => this.flush(), Math.min(...entries.map(({ due }) => due)) - now + 5);
        return;
      }
      this.#say("saving");
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
