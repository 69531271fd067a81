// Boards: a card is moved by mouse or touch (SortableJS), or from its menu by keyboard. The server decides; what it
// refuses goes back to where it was, and the reason is shown and said.

import { Sortable } from "./vendor/sortable.bundle.js";

const board = document.getElementById("board");
const told = document.getElementById("board-told");
const said = document.getElementById("board-said");
const words = JSON.parse(board.dataset.words);
const canEdit = board.dataset.canEdit === "yes";

const lanes = () => [...board.querySelectorAll("[data-lane]")];
const laneOf = (element) => element.closest("[data-lane]");
const cardsOf = (lane) => lane.querySelector("[data-lane-cards]");

// -- what a person is told ---------------------------------------------------------------------------------------------

function say(text) {
  said.textContent = "";
  requestAnimationFrame(() => { said.textContent = text; });
}

function part(name, classes, text) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  return element;
}

function tellRefusal(text, wayOut) {
  const notice = part("div", "notice tone tone-rose");
  const sentence = part("p", "", text);
  if (wayOut) {
    const link = part("a", "", wayOut.text);
    link.href = wayOut.href;
    sentence.append(" ", link);
  }
  const close = part("button", "btn btn-small", words.dismiss);
  close.type = "button";
  close.addEventListener("click", () => told.replaceChildren());
  notice.append(sentence, close);
  told.replaceChildren(notice);
}

// -- moving ------------------------------------------------------------------------------------------------------------

function count(lane, by) {
  const shown = lane?.querySelector("[data-count]");
  if (!shown) return;
  const number = Math.max(0, Number(shown.dataset.count) + by);
  shown.dataset.count = number;
  shown.querySelector("[data-number]").textContent = number.toLocaleString("en-GB");
}

function remember(card) {
  return { lane: laneOf(card), next: card.nextElementSibling };
}

function putBack(card, place) {
  const cards = cardsOf(place.lane);
  cards.insertBefore(card, place.next?.parentElement === cards ? place.next : null);
}

async function ask(card, lane) {
  const form = new URLSearchParams({ lane: lane.dataset.lane, revision: card.dataset.revision });
  const address = `/boards/${board.dataset.board}/cards/${card.dataset.card}`;
  const headers = { Accept: "application/json", "X-CSRFToken": board.dataset.token };
  const response = await fetch(address, { method: "POST", body: form, headers });
  if (response.status !== 200 && response.status !== 409) throw new Error(`answered ${response.status}`);
  return response.json();
}

// The card as the server has it now; it stays where it is on the screen.
function renew(card, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-card]");
  const hadFocus = card.contains(document.activeElement);
  card.replaceWith(fresh);
  if (hadFocus) fresh.querySelector(".board-move")?.focus({ preventScroll: true });
  return fresh;
}

function settle(card, from, answer) {
  const target = lanes().find((one) => one.dataset.lane === answer.lane) ?? from.lane;
  if (laneOf(card) !== target) {
    if (target === from.lane) putBack(card, from);
    else cardsOf(target).prepend(card);
  }
  if (target !== from.lane) {
    count(from.lane, -1);
    count(target, 1);
  }
  const fresh = renew(card, answer.card);
  fresh.classList.add(answer.is_moved ? "is-there" : "is-back");
  return fresh;
}

async function move(card, lane, from) {
  card.classList.add("is-moving");
  try {
    const answer = await ask(card, lane);
    if (answer.is_moved) told.replaceChildren();
    else tellRefusal(answer.said, answer.way_out);
    if (answer.is_moved) say(answer.said);
    return settle(card, from, answer);
  } catch {
    putBack(card, from);
    card.classList.remove("is-moving");
    tellRefusal(words.failed);
    return card;
  }
}

// -- by mouse and touch ------------------------------------------------------------------------------------------------

const starts = new WeakMap();

function mark(lane) {
  for (const one of lanes()) one.classList.toggle("is-over", one === lane);
}

function onEnd({ item, from, to }) {
  mark(null);
  const place = starts.get(item);
  if (from === to) putBack(item, place);
  else move(item, laneOf(to), place);
}

function makeSortable(cards) {
  Sortable.create(cards, {
    group: "board",
    draggable: ".board-card",
    filter: ".icon-button, a.btn",
    preventOnFilter: false,
    animation: 140,
    delay: 180,
    delayOnTouchOnly: true,
    touchStartThreshold: 6,
    fallbackTolerance: 4,
    forceFallback: true,
    fallbackOnBody: true,
    scrollSensitivity: 80,
    ghostClass: "is-placeholder",
    onStart: ({ item }) => starts.set(item, remember(item)),
    onMove: ({ to }) => { mark(laneOf(to)); },
    onEnd,
  });
}

// -- by keyboard: the menu of a card -----------------------------------------------------------------------------------

const menu = part("div", "board-menu");
menu.popover = "auto";
menu.setAttribute("role", "menu");
let opener = null;

function openMenu(link) {
  const card = link.closest("[data-card]");
  opener = card;
  menu.setAttribute("aria-label", link.getAttribute("aria-label"));
  menu.replaceChildren(part("div", "board-menu-title", words.moveTo), ...lanes().filter((one) => !("retired" in one.dataset)).map((lane) => entry(card, lane)));
  document.body.append(menu);
  menu.showPopover();
  const box = link.getBoundingClientRect();
  menu.style.position = "fixed";
  menu.style.inset = "auto";
  menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(box.bottom + 4, innerHeight - menu.offsetHeight - 8))}px`;
  menu.querySelector('[role="menuitem"]:not([aria-disabled])')?.focus();
}

function entry(card, lane) {
  const isHere = lane === laneOf(card);
  const button = part("button", "", lane.dataset.name);
  button.type = "button";
  button.setAttribute("role", "menuitem");
  if (isHere) button.setAttribute("aria-disabled", "true");
  else button.addEventListener("click", () => choose(card, lane));
  return button;
}

async function choose(card, lane) {
  menu.hidePopover();
  say(words.moving);
  const from = remember(card);
  const moved = await move(card, lane, from);
  moved.querySelector(".board-move")?.focus();
  moved.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function onMenuKey(event) {
  const entries = [...menu.querySelectorAll('[role="menuitem"]')];
  const at = entries.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  entries[(next + entries.length) % entries.length].focus();
}

// From card to card and lane to lane by the arrow keys.
function onCardKey(event) {
  const link = event.target.closest(".board-move");
  if (!link) return;
  if (event.key === " ") {
    event.preventDefault();
    openMenu(link);
    return;
  }
  const target = neighbour(link.closest("[data-card]"), event.key);
  if (!target) return;
  event.preventDefault();
  target.querySelector(".board-move").focus();
}

function neighbour(card, key) {
  const around = [...cardsOf(laneOf(card)).querySelectorAll("[data-card]")];
  const at = around.indexOf(card);
  if (key === "ArrowDown") return around[at + 1];
  if (key === "ArrowUp") return around[at - 1];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
  if (!step) return null;
  const all = lanes();
  for (let next = all.indexOf(laneOf(card)) + step; all[next]; next += step) {
    const there = cardsOf(all[next]).querySelectorAll("[data-card]");
    if (there.length) return there[Math.min(at, there.length - 1)];
  }
  return null;
}

menu.addEventListener("keydown", onMenuKey);
menu.addEventListener("toggle", (event) => {
  if (event.newState === "closed" && !board.contains(document.activeElement)) opener?.querySelector(".board-move")?.focus();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-board-submit]")) event.target.form.requestSubmit();
});

if (canEdit) {
  for (const lane of lanes()) makeSortable(cardsOf(lane));
  board.addEventListener("keydown", onCardKey);
  board.addEventListener("click", (event) => {
    const link = event.target.closest(".board-move");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    openMenu(link);
  });
}
