// What every page has: the theme switch, selectors that submit their form, and keys.

import { listen } from "./keyboard-shortcuts.js";

listen();

const THEMES = ["system", "light", "dark"];

function themeNow() {
  return document.documentElement.dataset.theme ?? "system";
}

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // It holds for this page at least.
  }
}

const themeSwitch = document.querySelector("[data-theme-switch]");
if (themeSwitch) {
  const name = themeSwitch.querySelector("[data-theme-name]");
  name.textContent = themeNow();
  themeSwitch.addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(themeNow()) + 1) % THEMES.length]);
    name.textContent = themeNow();
    themeSwitch.title = `Theme: ${themeNow()}`;
  });
  themeSwitch.title = `Theme: ${themeNow()}`;
}

for (const select of document.querySelectorAll("select[data-autosubmit]")) {
  // With the keyboard, each arrow press is a change: wait until the choice has settled.
  let timer = 0;
  select.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(() => select.form.requestSubmit(), 250);
  });
}
