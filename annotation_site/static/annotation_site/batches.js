// The batches at hand, the present one first, and the claim of the next one before it is needed.

import { page, post } from "./page.js";

const MOST_HELD = 3; // batches that the site leases to one person at once

export class Batches {
  /** @param first the batch in the page, or null; @param outbox whose answers are still under way */
  constructor(first, outbox) {
    this.outbox = outbox;
    this.list = [];
    this.over = !first || Boolean(page.preview);
    this.claiming = null;
    this.problem = "";
    if (first) this.add(first, Date.parse(page.now));
  }

  /** Take a batch in, without the pictures whose answers are already in the outbox. */
  add(batch, now) {
    const answered = new Set(this.outbox.entries().flatMap((entry) => entry.body.votes.map((vote) => vote.task)));
    const tasks = batch.tasks.filter((task) => !answered.has(task.task));
    // By this page's own clock: the device's may be wrong, or be set while the page is open.
    const until = performance.now() + Date.parse(batch.expires) - now;
    if (tasks.length) this.list.push({ ...batch, tasks, until, at: 0 });
  }

  get current() { return this.list[0]; }
  get left() { return this.list.reduce((sum, batch) => sum + batch.tasks.length - batch.at, 0); }

  upcoming(count) {
    return this.list.flatMap((batch) => batch.tasks.slice(batch.at)).slice(0, count);
  }

  /** Claim one more batch, unless that is under way or nothing is left. */
  claim() {
    if (this.over || this.claiming || this.list.length > 1) return this.claiming;
    this.claiming = this.#claim().finally(() => { this.claiming = null; });
    return this.claiming;
  }

  #holding() {
    // Batches whose answers are still under way count as held: they are not to be handed out again.
    const sent = this.outbox.entries().map((entry) => entry.body.assignment);
    return [...new Set([...this.list.map((batch) => batch.assignment), ...sent])];
  }

  async #claim() {
    if (this.#holding().length >= MOST_HELD) await this.outbox.flush({ all: true });
    try {
      const response = await post(page.claim, { holding: this.#holding().slice(0, 20) });
      if (response.status === 204) this.over = true;
      else if (response.ok) this.add(await response.json(), Date.parse(response.headers.get("Date")) || Date.now());
      this.problem = response.ok ? "" : (await response.json().catch(() => ({}))).detail ?? String(response.status);
    } catch {
      this.problem = page.words.offline;
    }
  }
}
