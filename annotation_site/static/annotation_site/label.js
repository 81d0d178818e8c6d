// The labelling page: one picture, one answer, no dead time. The next batch is claimed and its first pictures
// are loaded before the present one ends; answers go through the outbox. Without this script the page is a
// plain form.

import { Outbox, parse, randomKey, storage } from "./outbox.js";

const AHEAD = 10; // pictures loaded before they are shown, and how early the next batch is claimed
const page = JSON.parse(document.getElementById("page").textContent);
const $ = (name) => document.querySelector(`[data-${name}]`);
const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

function csrfToken() {
  // The cookie, not the form: after a new log-in in another tab only the cookie is fresh.
  const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return cookie ? cookie[1] : document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

function post(url, body, keepalive = false) {
  return fetch(url, {
    method: "POST",
    keepalive,
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(body),
  });
}

class Batches {
  /** Batches at hand, the present one first. */
  constructor(first) {
    this.list = [];
    this.over = !first;
    this.claiming = null;
    this.problem = "";
    if (first) this.add(first);
  }

  /** Take a batch in, without the pictures whose answers are already in the outbox. */
  add(batch) {
    const answered = new Set(outbox.entries().flatMap((entry) => entry.body.votes.map((vote) => vote.task)));
    const tasks = batch.tasks.filter((task) => !answered.has(task.task));
    if (tasks.length) this.list.push({ ...batch, tasks, at: 0 });
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

  async #claim() {
    // Batches whose answers are still under way count as held: they are not to be handed out again.
    const sent = outbox.entries().map((entry) => entry.body.assignment);
    const holding = [...new Set([...this.list.map((batch) => batch.assignment), ...sent])].slice(0, 20);
    try {
      const response = await post(page.claim, { holding });
      if (response.status === 204) this.over = true;
      else if (response.ok) this.add(await response.json());
      this.problem = response.ok ? "" : (await response.json().catch(() => ({}))).detail ?? String(response.status);
    } catch {
      this.problem = page.words.offline;
    }
  }
}

const outbox = new Outbox(page.worker, (body, keepalive) => post(page.votes, body, keepalive));
const DRAFTS = `assay.draft.${page.worker}.`;
const draftName = DRAFTS + randomKey();
const loaded = new Map(); // image_url -> HTMLImageElement
let batches;
let draft = [];
let shownAt = 0;

/** Hand to the outbox what an earlier page left behind. */
function sendLeftovers() {
  for (const name of storage.keys(DRAFTS)) {
    const left = parse(storage.get(name));
    if (left?.votes?.length) outbox.put(left.assignment, left.votes);
    storage.remove(name);
  }
}

// --- drawing --------------------------------------------------------------------------------------------

function picture(task) {
  let image = loaded.get(task.image_url);
  if (!image) {
    image = new Image();
    image.decoding = "async";
    image.src = task.image_url;
    loaded.set(task.image_url, image);
  }
  return image;
}

function draw() {
  const batch = batches.current;
  $("bench").hidden = !batch;
  $("finished").hidden = Boolean(batch);
  $("undo").disabled = draft.length === 0;
  if (!batch) return drawEnd();
  const task = batch.tasks[batch.at];
  const image = picture(task);
  const values = { n: batch.at + 1, all: batch.tasks.length };
  image.alt = say(page.words.picture, values);
  $("stage").querySelector("img").replaceWith(image);
  image.onload = () => { note(""); shownAt = performance.now(); };
  image.onerror = () => note(page.words.broken_picture);
  note(image.complete && !image.naturalWidth ? page.words.broken_picture : "");
  $("count").textContent = say(page.words.count, values);
  $("progress").max = batch.tasks.length;
  $("progress").value = batch.at;
  drawCategory(task.category);
  shownAt = performance.now();
  for (const next of batches.upcoming(AHEAD)) picture(next);
  for (const url of loaded.keys()) if (loaded.size > 4 * AHEAD) loaded.delete(url);
}

function drawCategory(key) {
  if (!key || !$("category-name")) return;
  $("category-name").textContent = page.categories[key]?.name ?? key;
  $("category-gloss").textContent = page.categories[key]?.gloss ?? "";
}

function drawEnd() {
  $("count").textContent = "";
  $("progress").value = $("progress").max;
  if (batches.over) {
    $("finished").focus();
    return;
  }
  // Not over, but nothing at hand: the network is away. Keep the page and go on as soon as it is back.
  $("finished").hidden = true;
  $("bench").hidden = false;
  note(say(page.words.no_more_now, { why: batches.problem }));
  setTimeout(more, 3000);
}

/** No picture: nobody shall think that a key still answers the last one. */
function blank() {
  const image = new Image();
  image.alt = "";
  $("stage").querySelector("img").replaceWith(image);
}

function note(text) {
  $("note").hidden = !text;
  $("note").textContent = text;
}

function drawStatus() {
  const n = outbox.pending();
  const status = $("status");
  status.className = `saving ${{ saved: "muted", saving: "muted", waiting: "state-warn", login: "state-bad" }[outbox.state]}`;
  status.textContent = n || outbox.state !== "saved" ? say(page.words[outbox.state], { n }) : page.words.saved;
  if (outbox.state === "login") {
    const link = document.createElement("a");
    link.href = page.login;
    link.target = "_blank";
    link.textContent = page.words.login_link;
    status.append(" ", link);
  }
}

// --- answering ------------------------------------------------------------------------------------------

function answer(label) {
  const batch = batches.current;
  if (!batch) return;
  const task = batch.tasks[batch.at];
  const image = picture(task);
  if (!image.complete) return note(page.words.slow_picture); // nobody can have judged it yet
  const seconds = Math.round((performance.now() - shownAt) / 10) / 100;
  draft.push({ task: task.task, label, seconds });
  storage.set(draftName, JSON.stringify({ assignment: batch.assignment, votes: draft }));
  batch.at += 1;
  if (batch.at === batch.tasks.length) {
    send();
    batches.list.shift();
  }
  if (batches.left <= AHEAD) more();
  else draw();
}

/** Hand the answers of the batch at hand to the outbox. */
function send() {
  if (!draft.length) return;
  const { assignment } = batches.current;
  outbox.put(assignment, draft);
  draft = [];
  storage.remove(draftName);
}

function undo() {
  if (!draft.length) return;
  draft.pop();
  batches.current.at -= 1;
  storage.set(draftName, JSON.stringify({ assignment: batches.current.assignment, votes: draft }));
  draw();
}

/** Claim the next batch; where none is at hand, the answers go first: what is left may hang on them. */
async function more() {
  const had = batches.current;
  if (had) {
    draw();
  } else {
    blank();
    note(page.words.fetching);
    await outbox.flush();
  }
  await batches.claim();
  if (had) for (const task of batches.upcoming(AHEAD)) picture(task);
  else draw();
}

// --- listening ------------------------------------------------------------------------------------------

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("help-dialog").open) return;
  if (event.key === "?") {
    event.preventDefault();
    $("help-dialog").showModal();
  } else if (event.key === "Backspace") {
    event.preventDefault();
    undo();
  } else {
    const button = [...document.querySelectorAll("[data-key]")].find((b) => b.dataset.key === event.key.toLowerCase());
    if (!button) return;
    event.preventDefault();
    answer(button.value);
  }
}

function start() {
  outbox.addEventListener("state", drawStatus);
  outbox.addEventListener("refused", (event) => note(say(page.words.refused, { n: event.detail.count, why: event.detail.why ?? "" })));
  outbox.addEventListener("stored", (event) => {
    const late = event.detail.filter((result) => result.status === "late").length;
    if (late) note(say(page.words.late, { n: late }));
  });
  sendLeftovers();
  batches = new Batches(page.batch);
  if (!$("bench")) return outbox.flush();
  for (const name of ["help", "undo"]) $(name).hidden = false;
  $("help").addEventListener("click", () => $("help-dialog").showModal());
  $("undo").addEventListener("click", undo);
  $("bench").addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "label") answer(event.submitter.value);
  });
  document.addEventListener("keydown", onKey);
  // Leaving: what is answered goes out now, and stays in the outbox until the site has confirmed it.
  addEventListener("pagehide", () => { send(); outbox.sendAndLeave(); });
  // A page that comes back from the browser's cache holds batches of the past.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  if (batches.current) loaded.set(batches.current.tasks[0].image_url, $("stage").querySelector("img"));
  outbox.flush();
  if (batches.current) draw();
  if (batches.left <= AHEAD) more();
}

start();
