// The leaderboard: its rows stand in the page already; the access that is chosen decides which attack each row shows.
"use strict";
(function () {
  const root = document.getElementById("leaderboard");
  if (!root) return;
  const facts = JSON.parse(document.getElementById("leaderboard-rows").textContent);
  const points = new Map([...document.querySelectorAll("[data-row]")].map((point) => [point.dataset.row, point]));

  const plain = [...root.querySelectorAll("thead th[data-digits]")].map((th) => {
    const digits = Number(th.dataset.digits);
    const format = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return { key: th.dataset.key, label: th.querySelector("button").textContent, format };
  });

  /** Adds the cells of the columns that the page itself leaves out: they are many, and few readers want them. */
  function complete(node, cells) {
    plain.forEach(({ key, label, format }) => {
      const cell = document.createElement("td");
      cell.className = "n";
      cell.dataset.key = key;
      cell.dataset.label = label;
      cell.textContent = typeof cells[key] === "number" ? format.format(cells[key]) : "\u2013";
      node.append(cell);
    });
    return node;
  }

  const rows = facts.map((fact) => {
    const own = document.getElementById(fact.id);
    return { ...fact, own, node: () => complete(own, fact.cells) };
  });

  let judged = "";

  function judge(facets) {
    const access = facets.access || "any";
    if (access === judged) return;
    judged = access;
    rows.forEach((row) => {
      const level = row.levels[access];
      ["auc", "attack", "tpr"].forEach((key) => { row.cells[key] = level ? level[key] : null; });
      row.own.querySelectorAll("[data-access]").forEach((part) => { part.hidden = part.dataset.access !== access; });
    });
    const note = document.getElementById("access-note");
    if (note) note.hidden = access === "any";
  }

  /** Lines between ranks lie between the rows that are shown; and the scatter dims what is not. */
  function mark(found) {
    found.forEach((row, place) => {
      row.own.classList.toggle("first", !place || found[place - 1].group.join("\n") !== row.group.join("\n"));
    });
    const shown = new Set(found.map((row) => row.id));
    points.forEach((point, id) => { point.classList.toggle("out", !shown.has(id)); });
  }

  // A link to a row shows the rows up to it.
  const linked = rows.findIndex((row) => `#${row.id}` === window.location.hash);
  const page = Math.max(Number(root.dataset.page), linked + 1);
  window.leak.table({ root, rows, page, before: judge, after: mark });
})();
