// The page of the rule editor: the editor itself, checks while one types, the draft on the server, the panels beside it.

import { makeEditor, RuleSchema } from "./vendor/editor.bundle.js";

// While somebody types, what needs no record is checked; at rest, everything.
const CHECK_AFTER = 400;
const CHECK_ALL_AFTER = 1600;
const KEEP_AFTER = 900;
const FORM_AFTER = 700;

const form = document.getElementById("rule-form");
const area = form.elements.namedItem("text");
const canEdit = !area.readOnly;
const said = (name) => form.dataset[`said${name}`];
const $ = (selector) => form.querySelector(selector);

const known = { schema: null, names: JSON.parse(form.dataset.names) };
let problems = JSON.parse(form.dataset.problems);
let slug = form.dataset.rule;
let rules = [];
let isFromForm = false;
let current = null; // the panel that is shown

// -- the editor -------------------------------------------------------------------------------------------------------

const host = $("[data-editor]");
host.hidden = false;
area.hidden = true;
document.documentElement.classList.add("has-editor");

const editor = makeEditor({
  host,
  text: area.value,
  label: form.dataset.label,
  isReadOnly: !canEdit,
  known: () => known,
  onChange: textChanged,
  onMove: ({ line }) => showCurrentRule(line),
});
editor.mark(problems);
fetch(form.dataset.schema, { headers: { Accept: "application/json" } })
  .then((answer) => (answer.ok ? answer.json() : null))
  .then((schema) => { if (schema) known.schema = new RuleSchema(schema); });

function textChanged(text) {
  area.value = text;
  if (!canEdit) return;
  later("check", () => check("quick"), CHECK_AFTER);
  later("check all", () => check("full"), CHECK_ALL_AFTER);
  later("keep", keep, KEEP_AFTER);
  markPanelsOld();
  if (current === "form" && !isFromForm) later("form", loadForm, FORM_AFTER);
}

const timers = {};
function later(name, act, milliseconds) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(act, milliseconds);
}

/** The form as it is, sent to one of its addresses; a newer question of the same name gives up the older one. */
const asking = {};
async function ask(name, address, depth = "full") {
  asking[name]?.abort();
  asking[name] = new AbortController();
  const answer = await fetch(address, {
    method: "POST", body: new FormData(form), headers: { "X-Fragment": depth }, signal: asking[name].signal,
  });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

// -- check ------------------------------------------------------------------------------------------------------------

const state = $("[data-check-state]");
const publish = $("[data-publish]");
const isStuck = publish?.disabled ?? false;

async function check(depth) {
  state.textContent = said("Checking");
  state.className = "check-state push";
  try {
    show(await (await ask("check", form.dataset.check, depth)).json());
  } catch (error) {
    if (error.name !== "AbortError") state.textContent = said("Failed");
  }
}

function show(found) {
  problems = found.problems;
  known.names = found.names;
  editor.mark(problems);
  state.textContent = found.words;
  state.className = `check-state push is-${found.tone}`;
  $("[data-problem-list]").innerHTML = found.list;
  $('[data-panel="words"]').innerHTML = found.reading;
  showRules(found.rules);
  mayPublish(found.reason);
}

function mayPublish(reason) {
  if (isStuck || !publish) return;
  publish.disabled = Boolean(reason);
  $("[data-reason]").textContent = reason;
}

function showRules(found) {
  rules = found;
  const jump = $("[data-jump]");
  jump.hidden = !rules.length;
  jump.replaceChildren(...rules.map((one) => {
    const option = new Option(one.title, one.line);
    option.dataset.slug = one.slug;
    return option;
  }));
  showCurrentRule(editor.line);
}

function showCurrentRule(line) {
  const jump = $("[data-jump]");
  const option = [...jump.options].findLast((one) => Number(one.value) <= line) ?? jump.options[0];
  if (!option) return;
  jump.value = option.value;
  if (slug !== option.dataset.slug) {
    slug = option.dataset.slug;
    if (current === "form") loadForm();
  }
  for (const one of form.querySelectorAll(".in-words")) one.classList.toggle("is-current", one.dataset.rule === slug);
}

form.addEventListener("click", (event) => {
  const link = event.target.closest("[data-line]");
  if (link) {
    event.preventDefault();
    editor.goTo(Number(link.dataset.line), Number(link.dataset.column ?? 1));
  }
  const mend = event.target.closest("[data-mend]");
  if (mend) {
    const one = problems[Number(mend.dataset.mend)];
    editor.mend(one, one.suggestion);
  }
  if (event.target.closest("[data-again]")) select(current, true);
});
$("[data-jump]").addEventListener("change", (event) => editor.goTo(Number(event.target.value)));

// -- the draft --------------------------------------------------------------------------------------------------------

const draft = document.querySelector("[data-draft-state]");
let isKept = true;

async function keep() {
  isKept = false;
  try {
    const found = await (await ask("keep", form.dataset.keep)).json();
    isKept = true;
    draft.textContent = found.meanwhile ? said("Meanwhile") : found.kept ? said("Kept") : said("Live");
    document.querySelector("[data-discard]").hidden = !found.kept;
  } catch (error) {
    if (error.name === "AbortError") return;
    draft.textContent = said("Away");
    later("keep", keep, 5000);
  }
}

// What was typed in the last second is kept when the tab is closed or hidden, too.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "hidden" || !canEdit || (isKept && !timers.keep)) return;
  clearTimeout(timers.keep);
  if (area.value !== area.defaultValue) navigator.sendBeacon(form.dataset.keep, new FormData(form));
});

// -- panels -----------------------------------------------------------------------------------------------------------

const tabs = [...form.querySelectorAll("[data-tab]")];

function becomeTabs() {
  const list = form.querySelector("[data-tabs]");
  if (!tabs.length) return;
  list.setAttribute("role", "tablist");
  for (const tab of tabs) {
    tab.setAttribute("role", "tab");
    tab.id = `tab-${tab.dataset.tab}`;
    const panel = panelOf(tab.dataset.tab);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      select(tab.dataset.tab);
    });
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.findIndex((one) => one.dataset.tab === current) + step + tabs.length) % tabs.length];
    next.focus();
    select(next.dataset.tab);
  });
  select((tabs.find((one) => one.hasAttribute("aria-current")) ?? tabs[0]).dataset.tab);
}

function panelOf(name) {
  return form.querySelector(`[data-panel="${name}"]`);
}

function select(name, isAgain = false) {
  current = name;
  for (const tab of tabs) {
    const isThis = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", String(isThis));
    tab.removeAttribute("aria-current");
    tab.tabIndex = isThis ? 0 : -1;
    panelOf(tab.dataset.tab).hidden = !isThis;
  }
  const panel = panelOf(name);
  if (name === "form") loadForm();
  else if (["tests", "plan"].includes(name) && (isAgain || !panel.childElementCount)) load(name);
}

async function load(name) {
  const panel = panelOf(name);
  const tab = tabs.find((one) => one.dataset.tab === name);
  panel.classList.remove("is-old");
  panel.setAttribute("aria-busy", "true");
  panel.replaceChildren(working());
  try {
    panel.innerHTML = await (await ask(name, tab.getAttribute("formaction"))).text();
  } catch (error) {
    if (error.name !== "AbortError") panel.replaceChildren(note(said("Failed")));
  } finally {
    panel.removeAttribute("aria-busy");
  }
}

function working() {
  const box = document.createElement("div");
  box.className = "working";
  const words = document.createElement("p");
  words.className = "mb-0";
  words.setAttribute("role", "status");
  words.textContent = said("Wait");
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", said("Wait"));
  box.append(words, bar);
  return box;
}

/** A line above what was found for an older text, with a way to ask anew. */
function note(words) {
  const line = document.createElement("div");
  line.className = "panel-old";
  const text = document.createElement("span");
  text.textContent = words;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "btn btn-small";
  again.dataset.again = "";
  again.textContent = form.dataset.saidAgain;
  line.append(text, again);
  return line;
}

function markPanelsOld() {
  for (const name of ["tests", "plan"]) {
    const panel = panelOf(name);
    if (panel?.childElementCount && !panel.classList.contains("is-old") && !panel.hasAttribute("aria-busy")) {
      panel.classList.add("is-old");
      panel.prepend(note(said("Old")));
    }
  }
}

// -- the form beside it -----------------------------------------------------------------------------------------------

/** The form of the rule in which the cursor is, as the text says now. */
async function loadForm() {
  const panel = panelOf("form");
  if (!panel || !slug) return;
  const sent = new FormData();
  sent.append("text", editor.text);
  sent.append("document", form.dataset.name);
  sent.append("csrf_token", form.elements.namedItem("csrf_token").value);
  asking.form?.abort();
  asking.form = new AbortController();
  panel.setAttribute("aria-busy", "true");
  if (!panel.childElementCount) panel.replaceChildren(working());
  try {
    const address = panel.dataset.formBase.replace("SLUG", encodeURIComponent(slug));
    const headers = { "HX-Request": "true" };
    const answer = await fetch(address, { method: "POST", body: sent, headers, signal: asking.form.signal });
    if (!answer.ok) throw new Error(`${answer.status}`);
    panel.innerHTML = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") return;
    panel.replaceChildren(note(panel.dataset.saidUnreadable));
  }
  panel.removeAttribute("aria-busy");
}

document.addEventListener("rule-text-changed", (event) => {
  if (typeof event.detail?.text !== "string") return;
  isFromForm = true;
  editor.replaceAll(event.detail.text);
  isFromForm = false;
});

becomeTabs();
if (form.dataset.start) editor.goTo(Number(form.dataset.start));
const wanted = /^#line-(\d+)$/.exec(location.hash);
if (wanted) editor.goTo(Number(wanted[1]));
if (canEdit) {
  mayPublish($("[data-reason]").textContent.trim());
  if (!form.dataset.checked) check("full");
}
