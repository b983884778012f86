// The leaderboard: its rows stand in the page already; the access that is chosen decides which attack each row shows.
"use strict";
(function () {
  const root = document.getElementById("leaderboard");
  if (!root) return;
  const facts = JSON.parse(document.getElementById("leaderboard-rows").textContent);
  const points = new Map([...document.querySelectorAll("[data-row]")].map((point) => [point.dataset.row, point]));

  const rows = facts.map((fact) => {
    const node = document.getElementById(fact.id);
    return { id: fact.id, cells: fact.cells, levels: fact.levels, facets: fact.facets, search: fact.search, node: () => node };
  });

  function judge(facets) {
    const access = facets.access || "any";
    rows.forEach((row) => {
      const level = row.levels[access];
      ["auc", "attack", "tpr"].forEach((key) => { row.cells[key] = level ? level[key] : null; });
      row.node().querySelectorAll("[data-access]").forEach((part) => { part.hidden = part.dataset.access !== access; });
    });
    const note = document.getElementById("access-note");
    if (note) note.hidden = access === "any";
  }

  function mark(found) {
    const shown = new Set(found.map((row) => row.id));
    points.forEach((point, id) => { point.classList.toggle("out", !shown.has(id)); });
  }

  window.leak.table({ root, rows, page: 100, before: judge, after: mark });
})();
