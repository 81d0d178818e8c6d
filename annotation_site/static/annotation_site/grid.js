// Many pictures of one category at once: tick every picture that shows it, then send them all. The next pictures are
// leased and loaded before these are sent. Ticks survive a reload; only sending makes them answers. Without this
// script the page is a plain form.

import { HOLD, batches, draw, more, note, outbox, start } from "./bench.js";
import { parse, storage } from "./outbox.js";
import { $, isTaken, page, say } from "./page.js";
import { Lens } from "./lens.js";

const TICKS = `assay.ticks.${page.worker}.`;
const YES = "yes";
const UNSURE = "unsure";
const SMALLEST = 150; // px a picture, before the grid scrolls
const LARGEST = 340; // thumbnails have 320
const loaded = new Map(); // thumbnail_url -> HTMLImageElement
let ticks = new Map(); // task -> yes or unsure; all others are no
let cells = [];
let last = null; // the grid before this one, while its answers can be taken back
let anchor = 0; // where a range with the shift key begins
let shownAt = 0;
let lens;

/** The pictures of the grid at hand: the next ones of the batch that ask about the same category. */
function grid(batch = batches.current) {
  const rest = batch.tasks.slice(batch.at);
  const end = rest.findIndex((task) => task.category !== rest[0].category);
  return end < 0 ? rest : rest.slice(0, end);
}

function thumbnail(task) {
  let image = loaded.get(task.thumbnail_url);
  if (!image) {
    image = new Image();
    image.decoding = "async";
    image.draggable = false;
    image.src = task.thumbnail_url;
    loaded.set(task.thumbnail_url, image);
  }
  return image;
}

function preload() {
  for (const task of batches.upcoming(300)) thumbnail(task);
}

// --- drawing --------------------------------------------------------------------------------------------

function drawGrid() {
  const batch = batches.current;
  const tasks = grid();
  drawCategory(tasks[0].category);
  const kept = parse(storage.get(TICKS + tasks[0].task)) ?? [];
  ticks = new Map(kept.filter(([task]) => tasks.some((one) => one.task === task)));
  cells = tasks.map(cell);
  $("cells").replaceChildren(...cells);
  $("cells").scrollTop = 0;
  fit();
  anchor = 0;
  for (const place of cells.keys()) {
    paint(place);
    const image = thumbnail(tasks[place]);
    if (image.complete && !image.naturalWidth) image.onerror();
  }
  focusOn(0);
  $("undo").disabled = !last;
  $("progress").max = batch.tasks.length;
  $("progress").value = batch.at;
  note("");
  shownAt = performance.now();
  preload();
  for (const url of loaded.keys()) if (loaded.size > 600) loaded.delete(url);
}

/** As large as they can be and all be seen at once; on a phone, and where they would get small, they scroll. */
function fit() {
  const box = $("cells");
  const gap = 8;
  const [width, height] = [box.clientWidth - gap, box.clientHeight - gap];
  let columns = 1;
  while (Math.ceil(cells.length / columns) * (width / columns) > height && width / (columns + 1) > SMALLEST) columns += 1;
  const scrolls = matchMedia("(max-width: 46rem)").matches || Math.ceil(cells.length / columns) * (width / columns) > height;
  box.style.gridTemplateColumns = scrolls ? "" : `repeat(${columns}, minmax(0, ${Math.min(LARGEST, width / columns - gap)}px))`;
}

function cell(task, place) {
  const item = $("cell").content.firstElementChild.cloneNode(true);
  const [yes, unsure] = item.querySelectorAll("input");
  const image = thumbnail(task);
  image.alt = say(page.words.picture, { n: place + 1, all: grid().length });
  image.onerror = () => { item.classList.add("broken"); set(place, UNSURE); };
  item.querySelector("img").replaceWith(image);
  item.querySelector("[data-nth]").textContent = String(place + 1);
  yes.value = unsure.value = task.task;
  yes.addEventListener("change", () => set(place, yes.checked ? YES : ""));
  unsure.addEventListener("change", () => set(place, unsure.checked ? UNSURE : ""));
  item.addEventListener("focusin", () => roam(place));
  return item;
}

/** Show what the answer of one picture is now. */
function paint(place) {
  const item = cells[place];
  const answer = ticks.get(grid()[place].task) ?? "";
  const [yes, unsure] = item.querySelectorAll("input");
  yes.checked = answer === YES;
  unsure.checked = answer === UNSURE;
  item.dataset.answer = answer;
  const counted = [...ticks.values()];
  const values = { n: counted.filter((one) => one === YES).length, all: cells.length };
  $("count").textContent = say(page.words.ticked, values);
}

function drawCategory(key) {
  const { name = key, gloss = "", synonyms = "", examples = [] } = page.categories[key] ?? {};
  for (const part of document.querySelectorAll("[data-category-name]")) part.textContent = name;
  $("category-gloss").textContent = gloss;
  $("category-synonyms").textContent = synonyms;
  $("examples").replaceChildren(...examples.map(example));
  $("examples").hidden = !examples.length;
}

function example({ url, good, note: words }) {
  const item = document.createElement("li");
  const image = new Image();
  image.src = url;
  image.alt = words || (good ? page.words.example : page.words.counterexample);
  item.className = good ? "good" : "bad";
  item.append(image, good ? page.words.example : page.words.counterexample, words ? `: ${words}` : "");
  return item;
}

function blank() {
  $("cells").replaceChildren();
  cells = [];
}

// --- answering ------------------------------------------------------------------------------------------

function set(place, answer) {
  const tasks = grid();
  if (answer) ticks.set(tasks[place].task, answer);
  else ticks.delete(tasks[place].task);
  storage.set(TICKS + tasks[0].task, JSON.stringify([...ticks]));
  paint(place);
}

const answerAt = (place) => ticks.get(grid()[place].task) ?? "";

function toggle(place, answer) {
  set(place, answerAt(place) === answer ? "" : answer);
}

/** All from the anchor to here become what the anchor is. */
function range(place) {
  const answer = answerAt(anchor);
  const [from, to] = [Math.min(anchor, place), Math.max(anchor, place)];
  for (let at = from; at <= to; at += 1) set(at, answer);
}

function selectAll() {
  const every = cells.every((_, place) => answerAt(place));
  for (const place of cells.keys()) if (answerAt(place) !== UNSURE) set(place, every ? "" : YES);
}

function invert() {
  for (const place of cells.keys()) if (answerAt(place) !== UNSURE) toggle(place, YES);
}

function send() {
  const batch = batches.current;
  if (!batch) return;
  const tasks = grid();
  const waiting = tasks.filter((task) => !thumbnail(task).complete).length;
  if (waiting) return note(say(page.words.slow_pictures, { n: waiting })); // nobody can have judged them yet
  const seconds = Math.round((performance.now() - shownAt) / tasks.length / 10) / 100;
  const votes = tasks.map(({ task }) => ({ task, label: ticks.get(task) ?? "no", seconds }));
  storage.remove(TICKS + tasks[0].task);
  last = { batch, at: batch.at, ticks: [...ticks], name: outbox.put(batch.assignment, votes, HOLD) };
  batch.at += tasks.length;
  if (batch.at === batch.tasks.length) batches.list.shift();
  more();
}

/** The grid that was sent last, with its ticks, as long as it has not left this device. */
function undo() {
  if (!last) return;
  const { batch, at, ticks: given, name } = last;
  last = null;
  if (!outbox.take(name)) {
    draw();
    return note(page.words.sent_already);
  }
  batch.at = at;
  if (batches.current !== batch) batches.list.unshift(batch);
  storage.set(TICKS + batch.tasks[at].task, JSON.stringify(given));
  draw();
}

// --- moving about ---------------------------------------------------------------------------------------

/** One picture is in the order of Tab: the one that was visited last. */
function roam(place) {
  for (const [at, item] of cells.entries()) {
    for (const input of item.querySelectorAll("input")) input.tabIndex = at === place ? 0 : -1;
  }
}

function focusOn(place) {
  roam(place);
  const item = cells[place];
  item.querySelector("input").focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
  if (lens.open) lens.show(grid()[place], item);
}

const here = () => cells.findIndex((item) => item.contains(document.activeElement));

/** Pictures in a row, as they are laid out now. */
function columns() {
  const top = cells[0].offsetTop;
  const second = cells.findIndex((item) => item.offsetTop !== top);
  return second < 0 ? cells.length : second;
}

function move(event, step) {
  const from = here();
  const place = from < 0 ? 0 : Math.min(cells.length - 1, Math.max(0, from + step));
  if (event.shiftKey && from >= 0) range(place);
  focusOn(place);
}

const STEPS = {
  ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: () => columns(),
  Home: () => -cells.length, End: () => cells.length,
};
const KEYS = {
  "?": () => $("help-dialog").showModal(),
  Backspace: undo,
  Enter: send,
  a: selectAll,
  i: invert,
  x: () => toggle(Math.max(0, here()), YES),
  u: () => toggle(Math.max(0, here()), UNSURE),
  z: () => look(),
};

function look() {
  if (lens.open) lens.hide();
  else lens.show(grid()[Math.max(0, here())], cells[Math.max(0, here())]);
}

function onKey(event) {
  if (isTaken(event) || !cells.length) return;
  const onButton = event.target.closest("button, a, summary");
  if (STEPS[event.key]) {
    event.preventDefault();
    move(event, STEPS[event.key]());
  } else if (event.key === "Escape" && lens.open) {
    lens.hide();
  } else if (event.key === " " && !onButton) {
    event.preventDefault();
    const place = Math.max(0, here());
    if (!event.repeat) toggle(place, YES);
    anchor = place;
  } else {
    const deed = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!deed || event.repeat || (event.key === "Enter" && onButton)) return;
    event.preventDefault();
    deed();
    if (["x", "u"].includes(event.key.toLowerCase())) anchor = Math.max(0, here());
  }
}

function onClick(event) {
  const place = cells.findIndex((item) => item.contains(event.target));
  if (place < 0) return;
  if (lens.locked && !event.target.closest(".unsure")) {
    event.preventDefault();
    lens.show(grid()[place], cells[place]);
  } else if (event.shiftKey && event.target.matches("img")) {
    event.preventDefault();
    range(place);
    focusOn(place);
  } else if (event.target.matches("input")) {
    anchor = place;
  }
}

start({ draw: drawGrid, blank, preload, undo, leave() {} });
if ($("bench")) {
  lens = new Lens($("lens"), $("closer"), (item) => grid()[cells.indexOf(item)]);
  lens.watch($("cells"), ".cell");
  $("all").addEventListener("click", selectAll);
  $("invert").addEventListener("click", invert);
  for (const name of ["all", "invert"]) $(name).hidden = false;
  $("bench").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  $("cells").addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  addEventListener("resize", () => { if (cells.length) fit(); });
  if (batches.current) {
    const drawn = new Map([...document.querySelectorAll(".cell")].map((item) => [item.querySelector("input").value, item.querySelector("img")]));
    for (const task of grid()) if (drawn.has(String(task.task))) loaded.set(task.thumbnail_url, drawn.get(String(task.task)));
  }
  draw();
  more();
}
