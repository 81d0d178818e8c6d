// Something is being made: its progress is fetched anew every few seconds, while somebody looks.
// Without scripts the page reloads itself (a <meta> in <noscript>).

const EVERY = 2000;

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [fresh, shown] = [page, document].map((held) => held.querySelector("[data-live]"));
      if (answer.ok && (!fresh || fresh.dataset.live !== shown.dataset.live)) {
        location.reload(); // it is done, or it stopped: other words, other buttons
        return;
      }
      if (answer.ok) shown.replaceChildren(...fresh.childNodes);
    } catch {
      // The server is away for a moment: look again later.
    }
  }
  setTimeout(look, EVERY);
}

setTimeout(look, EVERY);
