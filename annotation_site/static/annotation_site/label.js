// The labelling page: one picture, one answer, no dead time. The next batch is claimed and its first pictures
// are loaded before the present one ends; answers go through the outbox. Without this script the page is a
// plain form.

import { HOLD, batches, draftName, draw, more, note, outbox, start } from "./bench.js";
import { randomKey, storage } from "./outbox.js";
import { $, isTaken, page, say } from "./page.js";
import { search } from "./search.js";
import { Zoom } from "./zoom.js";

const AHEAD = 10; // pictures loaded before they are shown, and how early the next batch is claimed
const draft = draftName(randomKey());
const loaded = new Map(); // image_url -> HTMLImageElement
let answers = [];
let last = null; // the batch before this one, while its answers can be taken back
let shownAt = 0;
let zoom;
let searched;

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

function drawPicture() {
  const batch = batches.current;
  const task = batch.tasks[batch.at];
  const image = picture(task);
  const values = { n: batch.at + 1, all: batch.tasks.length };
  image.alt = say(page.words.picture, values);
  $("stage").querySelector("img").replaceWith(image);
  zoom.reset();
  searched?.reset();
  image.onload = () => { note(""); shownAt = performance.now(); };
  image.onerror = () => note(page.words.broken_picture);
  note(image.complete && !image.naturalWidth ? page.words.broken_picture : "");
  $("undo").disabled = !answers.length && !last;
  $("count").textContent = say(page.words.count, values);
  $("progress").max = batch.tasks.length;
  $("progress").value = batch.at;
  drawCategory(task.category);
  shownAt = performance.now();
  preload();
  for (const url of loaded.keys()) if (loaded.size > 4 * AHEAD) loaded.delete(url);
}

function preload() {
  for (const next of batches.upcoming(AHEAD)) picture(next);
}

function drawCategory(key) {
  if (!key || !$("category-name")) return;
  $("category-name").textContent = page.categories[key]?.name ?? key;
  $("category-gloss").textContent = page.categories[key]?.gloss ?? "";
}

/** No picture: nobody shall think that a key still answers the last one. */
function blank() {
  const image = new Image();
  image.alt = "";
  $("stage").querySelector("img").replaceWith(image);
}

function answer(label) {
  const batch = batches.current;
  if (!batch) return;
  const task = batch.tasks[batch.at];
  const image = picture(task);
  if (!image.complete) return note(page.words.slow_picture); // nobody can have judged it yet
  const seconds = Math.round((performance.now() - shownAt) / 10) / 100;
  keep([...answers, { task: task.task, label, seconds }]);
  batch.at += 1;
  if (batch.at === batch.tasks.length) {
    last = { batch, name: outbox.put(batch.assignment, answers, HOLD) };
    keep([]);
    batches.list.shift();
  }
  if (batches.left <= AHEAD) more();
  else draw();
}

/** The answers of the batch at hand, also for a page that comes after this one. */
function keep(votes) {
  answers = votes;
  if (votes.length) storage.set(draft, JSON.stringify({ assignment: batches.current.assignment, votes }));
  else storage.remove(draft);
}

function undo() {
  if (answers.length) {
    batches.current.at -= 1;
    keep(answers.slice(0, -1));
  } else if (last) {
    const taken = outbox.take(last.name);
    if (taken) {
      last.batch.at = last.batch.tasks.length - 1;
      batches.list.unshift(last.batch);
      keep(taken.votes.slice(0, -1));
    }
    last = null;
    draw();
    if (!taken) note(page.words.sent_already);
    return;
  }
  draw();
}

function leave() {
  if (answers.length) outbox.put(batches.current.assignment, answers);
  keep([]);
}

function onKey(event) {
  if (event.repeat || isTaken(event)) return;
  if (event.key === "?") {
    event.preventDefault();
    $("help-dialog").showModal();
  } else if (event.key === "Backspace") {
    event.preventDefault();
    undo();
  } else {
    const button = [...document.querySelectorAll("[data-key]")].find((b) => b.dataset.key === event.key.toLowerCase());
    if (button) answer(button.value);
    else if (!zoom.key(event)) return searched?.type(event);
    event.preventDefault();
  }
}

start({ draw: drawPicture, blank, preload, undo, leave });
if ($("bench")) {
  zoom = new Zoom($("stage"), $("zoom"));
  searched = $("search") ? search(answer, undo) : null;
  $("bench").addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "label") answer(event.submitter.value);
  });
  document.addEventListener("keydown", onKey);
  if (batches.current) {
    loaded.set(batches.current.tasks[0].image_url, $("stage").querySelector("img"));
    draw();
  }
  if (batches.left <= AHEAD) more();
}
