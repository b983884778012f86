// Sorts, filters and searches the rows of one table, and keeps its whole state in the address, so that a view can be linked.
// The state lies behind the `#` as `#?sort=-auc&q=dropout`: unlike a query, that also works in pages opened from the disk.
"use strict";
(function () {
  const COLLATE = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const FIXED = new Set(["q", "sort", "hide", "show"]);

  /** The state in the address: `q`, `sort`, `hide`, `show` and a value per facet. */
  function readState() {
    const hash = window.location.hash;
    return new URLSearchParams(hash.startsWith("#?") ? hash.slice(2) : "");
  }

  /** Places of the words of a column in their order: comparing words once per pair of rows would take most of a sort. */
  function order(rows, key) {
    const words = new Set(rows.map((row) => row.cells[key]).filter((value) => typeof value === "string"));
    return new Map([...words].sort(COLLATE.compare).map((word, place) => [word, place]));
  }

  /** Rows by the values of a column; those without a value stand last either way, equal ones keep their order. */
  function sorted(rows, key, sign) {
    const places = order(rows, key);
    const value = (row) => {
      const cell = row.cells[key];
      return typeof cell === "string" ? places.get(cell) : cell;
    };
    return rows
      .map((row, place) => ({ row, place, value: value(row) }))
      .sort((a, b) => {
        if (a.value === null || a.value === undefined) return b.value === null || b.value === undefined ? a.place - b.place : 1;
        if (b.value === null || b.value === undefined) return -1;
        return sign * (a.value - b.value) || a.place - b.place;
      })
      .map((each) => each.row);
  }

  /** Whether a row has what a filter asks for; of flags also what it must not have. */
  function passes(row, select) {
    const values = row.facets[select.dataset.facet] || [];
    const not = "negate" in select.dataset && select.value.startsWith("!");
    return not ? !values.includes(select.value.slice(1)) : values.includes(select.value);
  }

  /**
   * Makes a table of `rows`, in the order in which they are shown while nothing is sorted.
   *
   * @param {Element} options.root holds the table and its controls.
   * @param {Array} options.rows `{cells: {key: string|number|null}, facets: {name: [string]}, search, node: () => tr}`.
   * @param {number} options.page how many rows are put into the page at a time.
   * @param {Function} [options.before] called with the facets that are set, before rows are filtered and sorted.
   * @param {Function} [options.after] called with the rows that pass, in their order.
   */
  function table(options) {
    const { root, rows, page } = options;
    const body = root.querySelector("tbody");
    const heads = new Map([...root.querySelectorAll("thead th[data-key]")].map((th) => [th.dataset.key, th]));
    const search = root.querySelector("[data-search]");
    const facets = [...root.querySelectorAll("[data-facet]")];
    const boxes = [...root.querySelectorAll("[data-column]")];
    const shownAtFirst = new Map(boxes.map((box) => [box.dataset.column, box.defaultChecked]));
    const sorter = root.querySelector("[data-sort]");
    const count = root.querySelector("[data-count]");
    const more = root.querySelector("[data-more]");
    let limit = page;
    let sort = "";
    let found = rows;

    rows.forEach((row) => { row.text = row.search.toLowerCase(); });

    function hidden() {
      return boxes.filter((box) => !box.checked).map((box) => box.dataset.column);
    }

    /** The state as it stands behind the `#`; empty where nothing is set. */
    function said() {
      const state = new URLSearchParams();
      if (search && search.value) state.set("q", search.value);
      if (sort) state.set("sort", sort);
      facets.forEach((select) => { if (select.value) state.set(select.dataset.facet, select.value); });
      const away = boxes.filter((box) => !box.checked && shownAtFirst.get(box.dataset.column));
      const extra = boxes.filter((box) => box.checked && !shownAtFirst.get(box.dataset.column));
      if (away.length) state.set("hide", away.map((box) => box.dataset.column).join(","));
      if (extra.length) state.set("show", extra.map((box) => box.dataset.column).join(","));
      return state.toString();
    }

    function address() {
      const text = said();
      return window.location.href.replace(/#.*/, "") + (text ? `#?${text}` : "");
    }

    function write() {
      const text = said();
      const anchor = window.location.hash.startsWith("#?") ? "" : window.location.hash;
      // Replaced, not pushed: going back leaves the page instead of undoing one letter of a search.
      window.history.replaceState(null, "", text ? `#?${text}` : anchor || window.location.pathname + window.location.search);
    }

    /** Takes the state of the address; what the address names and the page has not is left out. */
    function read() {
      const state = readState();
      if (search) search.value = state.get("q") || "";
      const key = (state.get("sort") || "").replace(/^-/, "");
      sort = heads.has(key) ? state.get("sort") : "";
      facets.forEach((select) => {
        const wanted = FIXED.has(select.dataset.facet) ? "" : state.get(select.dataset.facet) || "";
        select.value = [...select.options].some((option) => option.value === wanted) ? wanted : "";
      });
      const hide = (state.get("hide") || "").split(",");
      const show = (state.get("show") || "").split(",");
      boxes.forEach((box) => {
        const name = box.dataset.column;
        box.checked = (shownAtFirst.get(name) && !hide.includes(name)) || show.includes(name);
      });
    }

    function select() {
      const words = search ? search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
      const set = facets.filter((each) => each.value);
      if (options.before) options.before(Object.fromEntries(set.map((each) => [each.dataset.facet, each.value])));
      found = rows.filter(
        (row) => set.every((each) => passes(row, each)) && words.every((word) => row.text.includes(word))
      );
      if (sort) found = sorted(found, sort.replace(/^-/, ""), sort.startsWith("-") ? -1 : 1);
    }

    function draw() {
      const away = new Set(hidden());
      const nodes = found.slice(0, limit).map((row) => {
        const node = row.made || (row.made = row.node());
        node.querySelectorAll("[data-key]").forEach((cell) => { cell.hidden = away.has(cell.dataset.key); });
        return node;
      });
      body.replaceChildren(...nodes);
      heads.forEach((th, key) => {
        th.hidden = away.has(key);
        const own = sort.replace(/^-/, "") === key;
        if (own) th.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
        else th.removeAttribute("aria-sort");
      });
      root.classList.add("made");
      body.classList.toggle("sorted", Boolean(sort));
      if (sorter) sorter.value = sort;
      if (count) {
        const shown = nodes.length < found.length ? `, the first ${nodes.length.toLocaleString("en")} shown` : "";
        count.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows${shown}`;
      }
      if (more) more.hidden = nodes.length >= found.length;
      if (options.after) options.after(found);
    }

    function update() {
      limit = page;
      select();
      draw();
      write();
    }

    heads.forEach((th, key) => {
      const button = th.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        // The better end first; then the other; then the order of the page.
        const first = th.dataset.first === "descending" ? `-${key}` : key;
        const second = first === key ? `-${key}` : key;
        sort = sort === first ? second : sort === second ? "" : first;
        update();
      });
    });
    if (sorter) sorter.addEventListener("change", () => { sort = sorter.value; update(); });
    if (search) search.addEventListener("input", update);
    [...facets, ...boxes].forEach((control) => control.addEventListener("change", update));
    if (more) {
      more.addEventListener("click", () => {
        const before = body.children.length;
        limit += page * 5;
        draw();
        const next = body.children[before];
        const link = next && next.querySelector("a, button, [tabindex]");
        if (link) link.focus({ preventScroll: true });
      });
    }
    // A list of choices that lies over the table closes as menus do.
    root.querySelectorAll(".controls details").forEach((menu) => {
      document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
      menu.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !menu.open) return;
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    });
    const reset = root.querySelector("[data-reset]");
    if (reset) {
      reset.addEventListener("click", () => {
        if (search) search.value = "";
        sort = "";
        facets.forEach((each) => { each.value = ""; });
        boxes.forEach((box) => { box.checked = shownAtFirst.get(box.dataset.column); });
        update();
      });
    }
    const copy = root.querySelector("[data-copy]");
    if (copy) {
      const label = copy.textContent;
      copy.addEventListener("click", () => {
        // Pages from the disk may not use the clipboard: then the address itself holds the view, and the button says so.
        const done = (said) => {
          copy.textContent = said;
          window.setTimeout(() => { copy.textContent = label; }, 2500);
        };
        if (!navigator.clipboard) done("See the address bar");
        else navigator.clipboard.writeText(address()).then(() => done("Copied"), () => done("See the address bar"));
      });
    }
    window.addEventListener("hashchange", () => {
      if (!window.location.hash || window.location.hash.startsWith("#?")) {
        read();
        limit = page;
        select();
        draw();
      } else if (said()) {
        // A link within the page was followed: the page has scrolled there, and the address tells the view again.
        write();
      }
    });
    window.addEventListener("beforeprint", () => { limit = found.length; draw(); });
    root.querySelectorAll("[data-scripted]").forEach((element) => { element.hidden = false; });
    read();
    select();
    draw();
  }

  window.leak = Object.assign(window.leak || {}, { table });
})();
