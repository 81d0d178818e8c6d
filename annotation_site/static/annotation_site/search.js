// Too many categories for a key each: what is typed narrows the answers down by name and synonyms, Enter gives the
// first one. The answers stay buttons, so that pointing, Tab and screen readers need nothing else.

import { $, page, say } from "./page.js";

const plain = (text) => text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");

/** The better the smaller; Infinity: no match. */
function rank(names, typed) {
  let best = Infinity;
  for (const [place, name] of names.entries()) {
    const at = name.indexOf(typed);
    if (at < 0) continue;
    const start = at === 0 ? 0 : /[\s\-_(]/.test(name[at - 1]) ? 1 : 2; // of the name, of a word, anywhere
    best = Math.min(best, 10 * start + (place > 0) * 5 + (name.length > typed.length));
  }
  return best;
}

/** @param answer (label) gives it; @param undo takes the last answer back */
export function search(answer, undo) {
  const field = $("search");
  const box = $("choices");
  const buttons = [...box.querySelectorAll("[data-names]")].map((button) => ({
    button,
    names: button.dataset.names.split("|").map(plain),
  }));
  let found = [];

  function show() {
    const typed = plain(field.value.trim());
    found = buttons.map(({ button, names }, place) => ({ button, place, rank: typed ? rank(names, typed) : 0 }))
      .filter((match) => match.rank < Infinity)
      .sort((one, other) => one.rank - other.rank || one.place - other.place);
    for (const { button } of buttons) { button.hidden = true; button.classList.remove("first"); }
    const after = field.closest("[data-search-box]");
    let previous = after;
    for (const { button } of found) {
      button.hidden = false;
      if (previous.nextSibling !== button) previous.after(button);
      previous = button;
    }
    if (typed && found.length) found[0].button.classList.add("first");
    $("matches").textContent = typed ? say(found.length ? page.words.matches : page.words.no_match, { n: found.length, first: found[0]?.button.dataset.names.split("|")[0] ?? "" }) : "";
    box.scrollTop = 0;
  }

  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (field.value.trim() && found.length) answer(found[0].button.value);
    } else if (event.key === "Escape") {
      event.preventDefault();
      field.value = "";
      show();
    } else if (event.key === "Backspace" && !field.value) {
      event.preventDefault();
      if (!event.repeat) undo();
    } else if (event.key === "ArrowDown" && found.length) {
      event.preventDefault();
      found[0].button.focus();
    } else if (!field.value && event.key === "?") {
      event.preventDefault();
      $("help").click();
    } else if (!field.value) {
      const button = [...box.querySelectorAll("[data-key]")].find((b) => b.dataset.key === event.key);
      if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (!event.repeat) answer(button.value);
    }
  });
  box.addEventListener("keydown", (event) => {
    const place = found.findIndex(({ button }) => button === event.target);
    if (place < 0 || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    (found[place + (event.key === "ArrowDown" ? 1 : -1)]?.button ?? field).focus();
  });
  show();

  return {
    /** The next picture: nothing is typed yet. */
    reset() {
      if (field.value) { field.value = ""; show(); }
      if (matchMedia("(hover: hover)").matches) field.focus({ preventScroll: true }); // no keyboard jumps up on a phone
    },
    /** A letter typed elsewhere goes into the field. */
    type(event) {
      if (event.key.length === 1 && event.key !== " ") field.focus();
    },
  };
}
