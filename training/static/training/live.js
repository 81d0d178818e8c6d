// A run that is under way: its progress is fetched anew every few seconds, while somebody looks.
// Without scripts the page reloads itself (a <meta> in <noscript>); nothing else here is needed.

const EVERY = 5000;
const part = () => document.querySelector("[data-live]");

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-live]");
      const same = page.querySelector("h1")?.textContent === document.querySelector("h1").textContent;
      const lead = (held) => held.querySelector(".lead")?.textContent;
      if (answer.ok && (!fresh || !same || lead(page) !== lead(document))) {
        location.reload(); // it has ended or begun: other buttons, other words
        return;
      }
      if (answer.ok) part().replaceChildren(...fresh.childNodes);
    } catch {
      // The server is away for a moment: look again later.
    }
  }
  setTimeout(look, EVERY);
}

setTimeout(look, EVERY);
