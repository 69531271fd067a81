// Lists of companies and contacts: what is ticked, and a picker of columns that closes by itself.

function ticks() {
  return [...document.querySelectorAll('#record-list input[name="id"]')];
}

function showTicks() {
  const all = ticks();
  const ticked = all.filter((one) => one.checked);
  for (const button of document.querySelectorAll("[data-needs-ticks]")) button.disabled = ticked.length === 0;
  for (const count of document.querySelectorAll("[data-tick-count]")) count.textContent = ticked.length ? `\u00a0${ticked.length}` : "";
  const every = document.querySelector("[data-tick-all]");
  if (!every) return;
  every.checked = all.length > 0 && ticked.length === all.length;
  every.indeterminate = ticked.length > 0 && ticked.length < all.length;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) for (const one of ticks()) one.checked = event.target.checked;
  if (event.target.matches('[data-tick-all], input[name="id"]')) showTicks();
});

document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("[data-pick-plain][open]")) if (!open.contains(event.target)) open.open = false;
});

document.addEventListener("keydown", (event) => {
  const pick = event.target.closest?.("[data-pick-plain][open]");
  if (event.key !== "Escape" || !pick) return;
  pick.open = false;
  pick.querySelector("summary").focus();
});

document.addEventListener("htmx:after:swap", showTicks);
showTicks();
