// What the server wrote into the page, and how its script speaks: to people and to the site.

export const page = JSON.parse(document.getElementById("page").textContent);
export const $ = (name) => document.querySelector(`[data-${name}]`);
export const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

function csrfToken() {
  // The cookie, not the form: after a new log-in in another tab only the cookie is fresh.
  const cookie = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return cookie ? cookie[1] : document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

export function post(url, body, keepalive = false) {
  return fetch(url, {
    method: "POST",
    keepalive,
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(body),
  });
}

/** Whether a key belongs to the browser, to a dialog that is open, or to a field that is typed in. */
export function isTaken(event) {
  const typing = event.target.matches?.("input:not([type=checkbox]), textarea, select");
  return event.ctrlKey || event.metaKey || event.altKey || typing || Boolean(document.querySelector("dialog[open]"));
}
