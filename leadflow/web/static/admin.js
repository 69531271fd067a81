// Administration: ranks by drag. The arrows beside each grip do the same for the keyboard and without script.

import { Sortable } from "./vendor/sortable.bundle.js";

function keysOf(list) {
  return [...list.querySelectorAll("[data-key]")].map((row) => row.dataset.key).join(",");
}

for (const list of document.querySelectorAll("[data-rank-list]")) {
  const form = document.getElementById(list.dataset.orderForm);
  list.classList.add("can-drag");
  Sortable.create(list, {
    handle: "[data-grip]",
    animation: 150,
    ghostClass: "is-carried",
    chosenClass: "is-held",
    onEnd() {
      const keys = keysOf(list);
      if (keys === form.elements.keys.value) return;
      form.elements.keys.value = keys;
      form.requestSubmit();
    },
  });
}
