// What is around the conversation: the drawers of a narrow window, dark and light.

import { loadPreferences, savePreference } from "./keeping.js";

// Make the drawers of a narrow window open and close. Returns the function that closes them.
export function drawers(chat, shade) {
  const opened = new Map(); // of an open drawer: the button that had the focus
  const close = () => {
    for (const [id, opener] of opened) {
      document.getElementById(id).classList.remove("open");
      opener.setAttribute("aria-expanded", "false");
      opener.focus();
    }
    opened.clear();
    shade.hidden = true;
  };
  for (const opener of chat.querySelectorAll("[data-open]")) {
    opener.addEventListener("click", () => {
      const id = opener.dataset.open;
      const wasOpen = opened.has(id);
      close();
      if (wasOpen) return;
      const drawer = document.getElementById(id);
      drawer.classList.add("open");
      opener.setAttribute("aria-expanded", "true");
      opened.set(id, opener);
      shade.hidden = false;
      drawer.querySelector("button")?.focus();
    });
  }
  for (const closer of chat.querySelectorAll("[data-close]")) closer.addEventListener("click", close);
  shade.addEventListener("click", close);
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && opened.size) close();
  });
  return close;
}

// The button that turns dark to light and back; until it is used, the system's choice holds.
export function theme(button) {
  const { documentElement: root } = document;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = loadPreferences().theme;
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    savePreference("theme", root.dataset.theme);
    label();
  });
  dark.addEventListener("change", label);
  label();
}
