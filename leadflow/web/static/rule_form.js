// Sends the form of a rule whenever a field is left with another value, puts in the answer, and tells the new text:
// the event `rule-text-changed` bubbles from the form with `detail.text`, and `detail.document`.

const busy = new WeakMap();

function fieldsOf(form, pressed) {
  const sent = new URLSearchParams();
  for (const one of form.querySelectorAll("input, select, textarea")) {
    if (one.name && (one.type !== "checkbox" || one.checked)) sent.append(one.name, one.value);
  }
  if (pressed?.name) sent.append(pressed.name, pressed.value);
  sent.append("csrf_token", form.dataset.token);
  return sent;
}

async function send(form, pressed) {
  busy.get(form)?.abort();
  const stop = new AbortController();
  busy.set(form, stop);
  form.setAttribute("aria-busy", "true");
  const focused = document.activeElement?.id;
  try {
    const answer = await fetch(form.dataset.action, {
      method: "POST", body: fieldsOf(form, pressed), headers: { "HX-Request": "true" }, signal: stop.signal,
    });
    if (!answer.ok) throw new Error(String(answer.status));
    put(form, await answer.text(), focused, pressed);
  } catch (reason) {
    if (reason.name === "AbortError") return;
    form.removeAttribute("aria-busy");
    document.getElementById("trouble")?.removeAttribute("hidden");
  }
}

function put(form, html, focused, pressed) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const fresh = document.adoptNode(parsed.querySelector("[data-rule-form]"));
  form.replaceWith(fresh);
  const added = pressed?.value?.startsWith("add-line") ? [...fresh.querySelectorAll("[id$='-field']")].at(-1) : null;
  (added ?? (focused ? document.getElementById(focused) : null))?.focus();
  const text = fresh.querySelector("[data-rule-text]");
  if (!text.hasAttribute("data-changed")) return;
  const detail = { text: text.value, document: fresh.querySelector("[name=document]").value };
  fresh.dispatchEvent(new CustomEvent("rule-text-changed", { bubbles: true, detail }));
}

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("[data-rule-form]");
  if (form && !event.target.hasAttribute("data-no-send")) send(form);
});

document.addEventListener("click", (event) => {
  const pressed = event.target.closest?.("[data-rule-form] button[name=act]");
  if (!pressed) return;
  event.preventDefault();
  send(pressed.closest("[data-rule-form]"), pressed);
});

document.addEventListener("keydown", (event) => {
  const form = event.key === "Enter" && event.target.matches?.("[data-rule-form] input") ? event.target.closest("[data-rule-form]") : null;
  if (!form) return;
  event.preventDefault();
  send(form);
});

document.addEventListener("rule-text-changed", (event) => {
  const shown = document.querySelector("[data-follows-form]");
  if (shown) shown.value = event.detail.text;
});
