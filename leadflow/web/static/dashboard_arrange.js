// Arranging a dashboard: tiles are dragged by their grip, and the order is saved at once.

import { Sortable } from "./vendor/sortable.bundle.js";

const list = document.getElementById("arrange-list");

if (list) {
  list.classList.add("is-sortable");
  Sortable.create(list, {
    handle: ".arrange-grip",
    animation: 140,
    ghostClass: "is-placeholder",
    forceFallback: true,
    onEnd: ({ oldIndex, newIndex }) => {
      if (oldIndex === newIndex) return;
      document.getElementById("arrange-order").value = [...list.children].map((one) => one.dataset.tile).join(",");
      document.getElementById("arrange-save").click();
    },
  });
}
