// Sorting tables and opening the matrix's cells: without this script everything is there, in one order and all open.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const key = (cell) => {
    const given = cell.dataset.key;
    return given === undefined ? cell.textContent.trim().toLocaleLowerCase() : Number(given);
  };
  const compare = (one, two) => (typeof one === "number" && typeof two === "number" ? one - two : String(one).localeCompare(String(two)));

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((one, two) => (falling ? -1 : 1) * compare(key(one.cells[column]), key(two.cells[column])));
        table.tBodies[0].append(...rows);
      });
    });
  }

  const cells = [...document.querySelectorAll(".cell")];
  const links = [...document.querySelectorAll(".matrix a")];
  const open = (id, move) => {
    for (const cell of cells) cell.hidden = cell.id !== id;
    for (const link of links) link.setAttribute("aria-expanded", String(link.hash === "#" + id));
    const shown = document.getElementById(id);
    if (shown && move) {
      shown.scrollIntoView({ block: "nearest" });
      shown.focus({ preventScroll: true });
    }
  };
  if (cells.length) {
    open(cells.some((cell) => "#" + cell.id === location.hash) ? location.hash.slice(1) : cells[0].id, false);
    for (const link of links) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        open(link.hash.slice(1), true);
      });
    }
  }
})();
