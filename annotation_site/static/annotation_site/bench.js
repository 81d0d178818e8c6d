// What every labelling page has: the line that says what is saved, the time that is left, help, the end, and the
// next batch. A page gives `draw`, which shows what is at hand, and `preload`, which loads what comes next.

import { Batches } from "./batches.js";
import { Outbox, parse, storage } from "./outbox.js";
import { $, page, post, say } from "./page.js";

export const HOLD = 6_000; // ms in which the last batch can be taken back
const WARN = 120_000; // ms before the end of a lease
const CLOCK = 5_000;
const KINDS = { saved: "muted", held: "muted", saving: "muted", waiting: "state-warn", login: "state-bad" };

export const outbox = new Outbox(
  page.preview ? `preview-${page.worker}` : page.worker,
  (body, keepalive) => (page.preview ? pretend(body) : post(page.votes, body, keepalive)),
);
export let batches;

/** A preview stores nothing. */
async function pretend(body) {
  return new Response(JSON.stringify({ results: body.votes.map(({ task }) => ({ task, status: "stored" })) }));
}

const DRAFTS = `assay.draft.${page.worker}.`;
export const draftName = (name) => DRAFTS + name;

/** Hand to the outbox what an earlier page left behind in the middle of a batch. */
function sendLeftovers() {
  for (const name of storage.keys(DRAFTS)) {
    const left = parse(storage.get(name));
    if (left?.votes?.length) outbox.put(left.assignment, left.votes);
    storage.remove(name);
  }
}

export function note(text) {
  $("note").hidden = !text;
  $("note").textContent = text;
}

function drawStatus() {
  const n = outbox.pending();
  const status = $("status");
  status.className = `saving ${KINDS[outbox.state]}`;
  status.textContent = n || outbox.state !== "saved" ? say(page.words[outbox.state], { n }) : page.words.saved;
  if (outbox.state === "login") {
    const link = document.createElement("a");
    link.href = page.login;
    link.target = "_blank";
    link.textContent = page.words.login_link;
    status.append(" ", link);
  }
}

/** Say it before the time for the batch at hand is over, and when it is. */
function drawLease() {
  const left = batches.current ? batches.current.until - performance.now() : Infinity;
  const minutes = Math.max(1, Math.ceil(left / 60_000));
  const text = left <= 0 ? page.words.lease_over : left <= WARN ? say(page.words.lease_ends, { n: minutes }) : "";
  if ($("lease").textContent !== text) $("lease").textContent = text;
  $("lease").hidden = !text;
}

let page_;

/** Show what is at hand, or that nothing is. */
export function draw() {
  const batch = batches.current;
  $("bench").hidden = !batch;
  $("finished").hidden = Boolean(batch);
  drawLease();
  if (batch) return page_.draw();
  $("count").textContent = "";
  $("progress").value = $("progress").max;
  if (batches.over) {
    outbox.flush({ all: true });
    $("finished").focus();
    return;
  }
  // Not over, but nothing at hand: the network is away. Keep the page and go on as soon as it is back.
  $("finished").hidden = true;
  $("bench").hidden = false;
  note(say(page.words.no_more_now, { why: batches.problem }));
  setTimeout(more, 3000);
}

/** Claim the next batch; where none is at hand, the answers go first: what is left may hang on them. */
export async function more() {
  const had = batches.current;
  if (had) {
    draw();
  } else {
    page_.blank();
    note(page.words.fetching);
    await outbox.flush({ all: true });
  }
  await batches.claim();
  if (had) page_.preload();
  else draw();
}

/** The page may be used: `page_` has draw, blank, preload, undo, leave. */
export function start(given) {
  page_ = given;
  outbox.addEventListener("state", drawStatus);
  outbox.addEventListener("refused", (event) => note(say(page.words.refused, { n: event.detail.count, why: event.detail.why ?? "" })));
  outbox.addEventListener("stored", (event) => {
    const late = event.detail.filter((result) => result.status === "late").length;
    if (late) note(say(page.words.late, { n: late }));
  });
  sendLeftovers();
  batches = new Batches(page.batch, outbox);
  outbox.flush();
  if (!$("bench")) return;
  for (const name of ["help", "undo"]) $(name).hidden = false;
  $("help").addEventListener("click", () => $("help-dialog").showModal());
  $("undo").addEventListener("click", () => page_.undo());
  // Leaving: what is answered goes out now, and stays in the outbox until the site has confirmed it.
  addEventListener("pagehide", () => { page_.leave(); outbox.sendAndLeave(); });
  // A page that comes back from the browser's cache holds batches of the past.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  setInterval(drawLease, CLOCK);
}
