// Arrow keys move the focus through a grid of pictures; Enter opens, as on any link. Without this, Tab does.
const KEYS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last" };

for (const grid of document.querySelectorAll("[data-arrows]")) {
  const links = [...grid.querySelectorAll("a")];
  grid.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    const here = links.indexOf(document.activeElement);
    if (step === undefined || here < 0 || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const top = links[0].getBoundingClientRect().top;
    const columns = links.findIndex((link) => link.getBoundingClientRect().top > top + 4);
    const row = columns < 1 ? links.length : columns;
    const last = links.length - 1;
    const to = { up: here - row, down: here + row, first: 0, last }[step] ?? here + step;
    if (to < 0 || to > last) return;
    event.preventDefault();
    links[to].focus();
  });
}

// From the page itself an arrow goes to the first picture, so that no mouse is needed to begin.
document.addEventListener("keydown", (event) => {
  const first = document.querySelector("[data-arrows] a");
  const free = document.activeElement === document.body || document.activeElement?.id === "main";
  if (!first || !free || !["ArrowRight", "ArrowDown"].includes(event.key) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  first.focus();
});
