// The fitting room tries a mapping on while it is written; a button that was pressed is not pressed twice.

const form = document.getElementById("fitting-form");
const preview = document.getElementById("fitting-preview");
const rows = document.getElementById("fit-rows");
let asked = 0;
let waiting;

function onceOnly(event) {
  const button = event.submitter;
  if (!button?.matches("[data-once]")) return;
  // After the browser has read the form: a disabled button would not be sent.
  setTimeout(() => (button.disabled = true), 0);
}

async function tryOn() {
  const number = ++asked;
  preview.classList.add("is-busy");
  try {
    const answer = await fetch(preview.dataset.url, {
      method: "POST",
      body: new FormData(form),
      headers: { "HX-Request": "true" },
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("fitting-preview");
    if (number !== asked) return;
    if (!fresh) return window.location.reload(); // signed out meanwhile
    preview.replaceChildren(...fresh.childNodes);
    renewPaths(page.getElementById("paths"));
  } catch {
    document.getElementById("trouble")?.removeAttribute("hidden");
  } finally {
    if (number === asked) preview.classList.remove("is-busy");
  }
}

function renewPaths(fresh) {
  if (fresh) document.getElementById("paths").replaceChildren(...fresh.childNodes);
}

function trySoon() {
  clearTimeout(waiting);
  waiting = setTimeout(tryOn, 350);
}

function addRow(path = "") {
  const row = document.getElementById("empty-row").content.cloneNode(true).querySelector("li");
  row.querySelector("[data-remove-row]").hidden = false;
  rows.append(row);
  row.querySelector("[name=path]").value = path;
  row.querySelector("select").focus();
}

function usePath(path) {
  const free = [...rows.children].find(
    (row) => !row.querySelector("select").value && !row.querySelector("[name=path]").value,
  );
  if (!free) return addRow(path);
  free.querySelector("[name=path]").value = path;
  free.querySelector("select").focus();
}

function onClick(event) {
  const removed = event.target.closest("[data-remove-row]");
  const used = event.target.closest("[data-use-path]");
  if (event.target.closest("#add-row")) addRow();
  else if (used) usePath(used.dataset.usePath);
  else if (removed) {
    const row = removed.closest("li");
    (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("select")?.focus();
    row.remove();
    trySoon();
  }
}

// Enter tries on, as leaving the field does; saving is a press of its button.
function onKey(event) {
  if (event.key !== "Enter" || !event.target.matches("input:not([type=checkbox])")) return;
  event.preventDefault();
  tryOn();
}

document.addEventListener("submit", onceOnly);
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("[data-once]")) button.disabled = false;
});
document.getElementById("tested")?.scrollIntoView({ block: "start" });

if (form && preview) {
  form.addEventListener("input", trySoon);
  form.addEventListener("click", onClick);
  form.addEventListener("keydown", onKey);
  document.getElementById("add-row").hidden = false;
  document.getElementById("try-on").hidden = true;
  for (const button of rows.querySelectorAll("[data-remove-row]")) button.hidden = false;
}
