// The quiz: keys and a closer look for what is a plain form, one picture a page. Without this script it works as well.

import { $, isTaken } from "./page.js";
import { search } from "./search.js";
import { Zoom } from "./zoom.js";

const form = $("quiz");
const zoom = new Zoom($("stage"), $("zoom"));
const buttons = [...form.querySelectorAll("[name=label]")];
const answer = (label) => buttons.find((button) => button.value === label)?.click();
const searched = $("search") ? search(answer, () => {}) : null;
let sent = false;

form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault(); // the first word stands
  sent = true;
});

document.addEventListener("keydown", (event) => {
  if (event.repeat || isTaken(event)) return;
  const button = buttons.find(({ dataset }) => dataset.key === event.key.toLowerCase());
  if (event.key === "?") $("help-dialog").showModal();
  else if (button) button.click();
  else if (event.key === "Enter" && $("next") && !event.target.matches("a, button")) $("next").click();
  else if (!zoom.key(event)) return searched?.type(event);
  event.preventDefault();
});

$("help").hidden = false;
$("help").addEventListener("click", () => $("help-dialog").showModal());
searched?.reset();
// A page that comes back from the browser's cache may ask what is answered already.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
