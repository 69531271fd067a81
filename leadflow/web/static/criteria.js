// The criteria builder: redraws itself when a field or operator changes, keeps its count, shows what is picked.

const COUNT_DELAY = 350;

function redraw(criteria) {
  criteria.dispatchEvent(new CustomEvent("redraw", { bubbles: false }));
}

function showPicked(pick) {
  const summary = pick.querySelector("summary");
  const names = [...pick.querySelectorAll("input:checked")].map((one) => one.labels[0].textContent.trim());
  summary.textContent = names.join(", ") || summary.dataset.nothing;
}

let waiting;
let isDropping = false; // the button that has the focus is about to go
function recountSoon(criteria) {
  clearTimeout(waiting);
  waiting = setTimeout(() => criteria.querySelector("#criteria-count")?.dispatchEvent(new CustomEvent("recount")), COUNT_DELAY);
}

document.addEventListener("change", (event) => {
  const criteria = event.target.closest("[data-criteria]");
  if (!criteria) return;
  const pick = event.target.closest("[data-pick]");
  if (pick) showPicked(pick);
  if (event.target.matches("[data-redraw]")) redraw(criteria);
});

document.addEventListener("input", (event) => {
  const criteria = event.target.closest?.("[data-criteria]");
  if (criteria && event.isTrusted && !event.target.matches("[data-redraw]")) recountSoon(criteria);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-drop-line]");
  if (button) {
    const criteria = button.closest("[data-criteria]");
    criteria.querySelector("[data-drop]").value = button.dataset.dropLine;
    isDropping = true;
    redraw(criteria);
  }
  for (const open of document.querySelectorAll("[data-pick][open]")) if (!open.contains(event.target)) open.open = false;
});

document.addEventListener("keydown", (event) => {
  const pick = event.target.closest?.("[data-pick][open]");
  if (event.key !== "Escape" || !pick) return;
  pick.open = false;
  pick.querySelector("summary").focus();
});

// After a redraw the form around the builder hears that its criteria are others, and the count is made anew.
document.addEventListener("htmx:after:swap", () => {
  const criteria = document.querySelector("[data-criteria]");
  if (!criteria) return;
  if (isDropping) criteria.querySelector(".criteria-more select").focus();
  isDropping = false;
  if (criteria.dataset.known === criteria.dataset.where) return;
  criteria.dataset.known = criteria.dataset.where;
  recountSoon(criteria);
  criteria.dispatchEvent(new Event("input", { bubbles: true }));
});

// Nobody counts for a builder that is folded away.
document.addEventListener("toggle", (event) => {
  const criteria = event.target.open && event.target.querySelector?.("[data-criteria]");
  if (criteria) recountSoon(criteria);
}, true);

const first = document.querySelector("[data-criteria]");
if (first) {
  first.dataset.known = first.dataset.where;
  if (first.checkVisibility()) recountSoon(first);
}
