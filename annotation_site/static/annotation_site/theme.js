// Runs before the first paint, so that a chosen theme never flashes. Classic script: modules run too late.
(() => {
  const KEY = "assay.theme";
  const root = document.documentElement;
  const read = () => {
    try { return localStorage.getItem(KEY); } catch { return null; }
  };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  apply(read());
  root.classList.add("js");
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(isDark()));
      button.addEventListener("click", () => {
        const theme = isDark() ? "light" : "dark";
        apply(theme);
        button.setAttribute("aria-pressed", String(theme === "dark"));
        try { localStorage.setItem(KEY, theme); } catch { /* private mode: holds for this page */ }
      });
    }
  });
})();
