// What the pages need beyond htmx: theme, search key, moments that age, a quiet live refresh. No framework, no inline code.

const THEMES = ["", "light", "dark"];
const THEME_WORDS = { "": "as the system", light: "light", dark: "dark" };

function switchTheme() {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.bsTheme ?? "") + 1) % THEMES.length];
  if (next) root.dataset.bsTheme = next;
  else delete root.dataset.bsTheme;
  document.querySelector('meta[name="color-scheme"]').content = next || "light dark";
  const age = next ? 31536000 : 0;
  document.cookie = `leadflow_theme=${next}; path=/; max-age=${age}; samesite=lax`;
  for (const words of document.querySelectorAll("[data-theme-words]")) words.textContent = `Theme: ${THEME_WORDS[next]}`;
}

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function onKey(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const box = document.querySelector("main [data-search]") ?? document.querySelector("[data-search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
}

function relative(moment) {
  const seconds = (Date.now() - moment) / 1000;
  if (Math.abs(seconds) < 45) return "just now";
  if (Math.abs(seconds) >= 2592000) return null; // the server's date stays
  const words = span(Math.abs(seconds));
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

function span(seconds) {
  if (seconds >= 86400 * 0.995) return plural(Math.floor(seconds / 86400 + 0.005), "day", "days");
  if (seconds >= 3600 * 0.995) return plural(Math.floor(seconds / 3600 + 0.005), "h", "h");
  return plural(Math.max(1, Math.round(seconds / 60)), "min", "min");
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function ageMoments() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const words = relative(Date.parse(time.dateTime));
    if (words && words !== time.textContent) time.textContent = words;
  }
}

// A poll must not disturb: it waits while the tab is hidden, text is marked, or the keyboard is inside the list.
function isBusyWith(element) {
  const marked = document.getSelection();
  const marksText = marked && !marked.isCollapsed && element.contains(marked.anchorNode);
  return document.hidden || marksText || element.contains(document.activeElement);
}

const known = new Set();

function rememberRows(list) {
  for (const row of list.querySelectorAll("tr[id]")) known.add(row.id);
}

function markNewRows(list) {
  for (const row of list.querySelectorAll("tr[id]")) if (!known.has(row.id)) row.classList.add("is-new");
  rememberRows(list);
}

function showTrouble(isThere) {
  document.getElementById("trouble")?.toggleAttribute("hidden", !isThere);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-switch]")) switchTheme();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("htmx:before:request", (event) => {
  const source = event.detail.ctx?.sourceElement;
  if (source?.matches("[data-live]") && isBusyWith(source)) event.preventDefault();
});
document.addEventListener("htmx:after:swap", () => {
  document.querySelectorAll("[data-live]").forEach(markNewRows);
  ageMoments();
  showTrouble(false);
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.error?.name !== "AbortError") showTrouble(true);
});
document.addEventListener("htmx:response:error", (event) => {
  if ((event.detail.ctx?.response?.status ?? 0) >= 500) showTrouble(true);
});

document.querySelectorAll("[data-live]").forEach(rememberRows);
setInterval(ageMoments, 30000);
