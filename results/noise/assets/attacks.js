// The page of attacks: arrow keys in heat maps, and the table of all rows, whose rows are made only when they are shown.
"use strict";
(function () {
  const DASH = "\u2013";

  /**
   * Makes a heat map one stop for the tab key instead of one per cell; the arrow keys move within it. Done when the focus
   * first comes to it, since a page may have ten thousand cells.
   */
  function walk(table, first) {
    const rows = [...table.querySelectorAll("tbody tr")].map((tr) => [...tr.children]).filter((cells) => cells.length > 1);
    const link = (row, column) => rows[row][column].querySelector("a");
    let current = first;
    table.querySelectorAll("td a").forEach((each) => { each.tabIndex = -1; });
    current.tabIndex = 0;

    function go(target) {
      current.tabIndex = -1;
      current = target;
      current.tabIndex = 0;
    }

    /** The next cell that has a link, that way; cells of attacks that were not asked for are stepped over. */
    function next(row, column, down, right) {
      let found = null;
      for (let r = row + down, c = column + right; !found && rows[r] && rows[r][c] && c; r += down, c += right) found = link(r, c);
      return found;
    }

    function end(row, step) {
      const cells = rows[row].slice(1).map((_, column) => link(row, column + 1)).filter(Boolean);
      return step < 0 ? cells[0] : cells[cells.length - 1];
    }

    table.addEventListener("focusin", (event) => {
      const own = event.target.closest("td a");
      if (own) go(own);
    });
    table.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      const row = rows.findIndex((cells) => cells.includes(cell));
      const column = rows[row].indexOf(cell);
      const moves = {
        ArrowUp: () => next(row, column, -1, 0),
        ArrowDown: () => next(row, column, 1, 0),
        ArrowLeft: () => next(row, column, 0, -1),
        ArrowRight: () => next(row, column, 0, 1),
        Home: () => end(row, -1),
        End: () => end(row, 1),
      };
      if (!moves[event.key]) return;
      event.preventDefault();
      const target = moves[event.key]();
      if (!target) return;
      target.focus();
      target.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  /** A word whose explanation assets/tip.js shows. */
  function tip(label, text, name) {
    const made = element("span", label, name || "tip");
    made.tabIndex = 0;
    made.append(element("span", `: ${text}`, "vh"));
    return made;
  }

  // Rounded as the pages that are written beforehand: no negative zero, a dash for what was not measured.
  const figure = (value, digits = 3) => (value === null ? DASH : (Number(value.toFixed(digits)) + 0).toFixed(digits));
  const span = (low, high) => (low === null || high === null ? DASH : `${figure(low)} to ${figure(high)}`);
  const words = (label) => label.replaceAll("_", " ");

  /** The rows of the data as assets/table.js wants them. */
  function read(data, keys) {
    const at = Object.fromEntries(data.fields.map((field, place) => [field, place]));
    const texts = new Set(["board", "dataset", "target", "defense", "page", "attack", "access", "knowledge", "status", "reason"]);
    const numbers = new Set(["auc", "low", "runs_low", "accuracy", "tpr", "advantage", "set_auc", "seeds", "epsilon", "models"]);

    return data.rows.map((values) => {
      const get = (field) => (texts.has(field) ? data.pool[values[at[field]]] : values[at[field]]);
      const flags = get("flags").map(([name, seen]) => [data.pool[name], data.pool[seen]]);
      const names = flags.map(([name]) => name);
      const cells = {};
      keys.forEach((key) => {
        if (key === "flags") cells[key] = names.length ? names.join(", ") : null;
        else if (key === "adaptive") cells[key] = get(key) ? "yes" : "no";
        else cells[key] = numbers.has(key) || texts.has(key) ? get(key) : null;
      });
      const facets = { flags: names, control: get("control") ? ["yes", "alone"] : ["yes"] };
      ["board", "dataset", "target", "defense", "access", "knowledge", "status"].forEach((key) => { facets[key] = [get(key)]; });
      const search = [
        get("board"), get("dataset"), get("target"), get("defense"), get("attack"), words(get("access")), get("knowledge"),
        get("adaptive") ? "adaptive" : "", words(get("status")), get("reason"), ...names,
      ].join(" ");
      return { cells, facets, search, node: () => node(get, flags, keys, data) };
    });
  }

  function under(cell, text) {
    if (text) cell.append(element("small", text));
    return cell;
  }

  /** A row of the table; every label goes in as text. */
  function node(get, flags, keys, data) {
    const make = {
      defense: () => {
        const cell = element("td", undefined, "name");
        const link = element("a", get("defense"));
        link.href = get("page");
        cell.append(link);
        return cell;
      },
      attack: () => {
        const cell = element("th", get("attack"), "name");
        cell.scope = "row";
        return under(cell, [get("control") ? "control" : "", get("adaptive") ? "adaptive" : ""].filter(Boolean).join(", "));
      },
      access: () => explained(words(get("access")), data.access[get("access")]),
      knowledge: () => explained(get("knowledge"), data.knowledge[get("knowledge")]),
      adaptive: () => element("td", get("adaptive") ? "yes" : "no"),
      auc: () => element("td", figure(get("auc")), "n"),
      low: () => element("td", span(get("low"), get("high")), "n"),
      runs_low: () => element("td", span(get("runs_low"), get("runs_high")), "n"),
      accuracy: () => under(element("td", figure(get("accuracy")), "n"), get("chance") === null ? "" : `chance ${figure(get("chance"))}`),
      tpr: () => under(element("td", figure(get("tpr")), "n"), get("realised") === null ? "" : `at ${figure(get("realised"), 4)}`),
      advantage: () => under(element("td", figure(get("advantage")), "n"), get("null") === null ? "" : `null ${figure(get("null"))}`),
      set_auc: () => element("td", figure(get("set_auc")), "n"),
      seeds: () => element("td", String(get("seeds")), "n"),
      epsilon: () => element("td", get("epsilon") === null ? DASH : String(Number(get("epsilon").toPrecision(3))), "n"),
      models: () => element("td", get("models").toLocaleString("en"), "n"),
      status: () => {
        const cell = under(element("td", words(get("status"))), get("reason"));
        if (get("reason")) cell.className = "why";
        return cell;
      },
      flags: () => {
        const cell = element("td");
        flags.forEach(([name, seen]) => { cell.append(tip(name, `${data.flags[name]} Here: ${seen}`, "tip flag"), " "); });
        return cell;
      },
    };
    const row = element("tr");
    keys.forEach((key) => {
      const cell = make[key] ? make[key]() : element("td", get(key), "name");
      cell.dataset.key = key;
      row.append(cell);
    });
    return row;
  }

  function explained(label, text) {
    const cell = element("td");
    cell.append(text ? tip(label, text) : label);
    return cell;
  }

  document.querySelectorAll(".heat table").forEach((table) => {
    table.addEventListener("focusin", function enter(event) {
      const first = event.target.closest("td a");
      if (!first) return;
      table.removeEventListener("focusin", enter);
      walk(table, first);
    });
  });
  const root = document.getElementById("attack-table");
  const data = JSON.parse(document.getElementById("attack-data").textContent);
  const keys = [...root.querySelectorAll("th[data-key]")].map((th) => th.dataset.key);
  const all = read(data, keys);
  const attacks = all.filter((row) => !row.facets.control.includes("alone"));
  const rows = [...all];

  /** Controls are no attacks: until they are asked for they are not even counted. */
  function choose(facets) {
    rows.splice(0, rows.length);
    (facets.control ? all : attacks).forEach((row) => { rows.push(row); });
  }

  window.leak.table({ root, rows, page: 50, before: choose });
})();
