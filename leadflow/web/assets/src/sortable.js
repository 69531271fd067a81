// What the boards use of SortableJS: dragging cards between lanes by mouse and touch, with scrolling at the edges.
import Sortable, { AutoScroll } from "sortablejs/modular/sortable.core.esm.js";

Sortable.mount(new AutoScroll());

export { Sortable };
