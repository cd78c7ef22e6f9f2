"use strict";
// The table of all photos, that of cracks, the large view, and the keys. Names come from archives: the script sets them only as text.
(() => {
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const columns = rows.columns;
  const count = columns[0].values.length;
  const stops = JSON.parse(document.getElementById("stops").textContent);
  const PRINTED_ROWS = 60;
  const AROUND_ROWS = 12; // drawn beyond the visible rows, so that scrolling shows no gap

  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const colour = (score) => {
    const upper = Math.max(1, stops.findIndex(([place]) => place >= score));
    const [[from, low], [to, high]] = [stops[upper - 1], stops[upper]];
    const share = Math.min(1, Math.max(0, (score - from) / (to - from)));
    return `rgb(${low.map((value, channel) => Math.round(value + share * (high[channel] - value))).join(" ")})`;
  };

  // ---- the table: filters and sorts row numbers, and draws only visible rows
  const table = document.getElementById("photos");
  const head = table.tHead.rows[0];
  const body = table.tBodies[0];
  const scroller = table.closest(".scroller");
  const search = document.getElementById("search");
  const least = document.getElementById("least");
  const filters = document.getElementById("filters");
  const found = document.getElementById("found");
  const selects = new Map();
  const scores = columns.filter((column) => column.kind === "score").at(-1); // of two, the later one
  let order = { column: null, down: false };
  let listed = [];
  let printing = false;

  const shown = (column, row) => {
    const value = column.values[row];
    if (value === null) return "";
    if (column.kind === "choice") return column.choices[value];
    if (column.kind === "score") return value.toFixed(3);
    if (column.kind === "difference") return (value > 0 ? "+" : "") + value.toFixed(3);
    return typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 6 }) : value;
  };

  const haystack = Array.from({ length: count }, (_, row) =>
    columns.filter((column) => column.kind === "text" || column.kind === "choice")
      .map((column) => shown(column, row)).join("\n").toLowerCase());

  const collator = new Intl.Collator("en", { numeric: true });
  const ranks = new Map(); // compares texts once a column, not once a click
  const keys = (column) => {
    if (column.kind !== "text" && column.kind !== "choice") return column.values;
    if (!ranks.has(column)) {
      const texts = [...new Set(column.values.map((_, row) => shown(column, row)))].sort(collator.compare);
      const rank = new Map(texts.map((text, index) => [text, index]));
      ranks.set(column, column.values.map((value, row) => (value === null ? null : rank.get(shown(column, row)))));
    }
    return ranks.get(column);
  };

  const comparator = (values, down) => (one, other) => {
    const [a, b] = [values[one], values[other]];
    if (a === null || b === null) return (a === null) - (b === null) || one - other; // unknown values come last
    return (down ? b - a : a - b) || one - other;
  };

  const list = () => {
    const words = search.value.trim().toLowerCase();
    const from = Number.parseFloat(least.value);
    listed = [];
    for (let row = 0; row < count; row += 1) {
      if (words && !haystack[row].includes(words)) continue;
      if (scores && from > 0 && !(scores.values[row] >= from)) continue;
      if ([...selects].some(([select, column]) => select.value !== "" && column.values[row] !== Number(select.value))) continue;
      listed.push(row);
    }
    if (order.column) listed.sort(comparator(keys(order.column), order.down));
    found.textContent = `${listed.length.toLocaleString("en")} of ${count.toLocaleString("en")} photos`;
    table.setAttribute("aria-rowcount", listed.length + 1);
    scroller.scrollTop = 0;
    draw();
  };

  const cell = (column, row) => {
    const text = shown(column, row);
    const td = make("td", column.kind === "text" || column.kind === "choice" ? "" : "number");
    if (column === columns[0] && rows.cards[row]) {
      const button = make("button", "link", text);
      button.type = "button";
      button.addEventListener("click", () => open(row));
      td.append(button);
    } else {
      if (column.kind === "score" && text !== "") {
        const swatch = make("span", "swatch");
        swatch.style.background = colour(column.values[row]);
        td.append(swatch);
      }
      td.append(text);
    }
    td.title = text;
    return td;
  };

  const space = (heightPx) => {
    const row = make("tr", "space");
    const td = make("td");
    td.colSpan = columns.length;
    td.style.height = `${heightPx}px`;
    row.setAttribute("aria-hidden", "true");
    row.append(td);
    return row;
  };

  const rowPx = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) * 2.25;

  const draw = () => {
    const heightPx = rowPx();
    const first = printing ? 0 : Math.max(0, Math.floor(scroller.scrollTop / heightPx) - AROUND_ROWS);
    const seen = printing ? PRINTED_ROWS : Math.ceil(scroller.clientHeight / heightPx) + 2 * AROUND_ROWS;
    const last = Math.min(listed.length, first + seen);
    const drawn = listed.slice(first, last).map((row, index) => {
      const tr = make("tr");
      tr.setAttribute("aria-rowindex", first + index + 2);
      tr.append(...columns.map((column) => cell(column, row)));
      return tr;
    });
    const below = printing ? 0 : (listed.length - last) * heightPx;
    body.replaceChildren(...(first > 0 ? [space(first * heightPx)] : []), ...drawn, ...(below > 0 ? [space(below)] : []));
  };

  const sortBy = (column) => {
    const isText = column.kind === "text" || column.kind === "choice";
    const down = order.column === column ? !order.down : !isText; // numbers start with the largest, names with the first
    order = { column, down };
    [...head.cells].forEach((th, index) => {
      const isThis = columns[index] === column;
      th.setAttribute("aria-sort", isThis ? (down ? "descending" : "ascending") : "none");
      th.querySelector("span").textContent = isThis ? (down ? " ↓" : " ↑") : "";
    });
    list();
  };

  columns.forEach((column) => {
    const isText = column.kind === "text" || column.kind === "choice";
    const th = make("th", isText ? "" : "number");
    th.scope = "col";
    th.setAttribute("aria-sort", "none");
    const button = make("button", "", column.label);
    button.type = "button";
    button.append(make("span"));
    button.addEventListener("click", () => sortBy(column));
    th.append(button);
    head.append(th);
    if (column.kind !== "choice" || column.choices.length < 2) return;
    const select = make("select");
    select.setAttribute("aria-label", `Only photos of one ${column.label.toLowerCase()}`);
    select.append(new Option(`${column.label}: all`, ""));
    column.choices.forEach((choice, index) => select.append(new Option(choice, index)));
    select.style.maxWidth = "14rem";
    select.addEventListener("change", list);
    selects.set(select, column);
    filters.append(select);
  });
  const wide = { text: 12, choice: 13 };
  const group = make("colgroup");
  columns.forEach((column) => {
    const col = make("col");
    const wideRem = column === columns[0] ? 19 : wide[column.kind] || Math.max(6.4, 2.8 + 0.55 * column.label.length);
    col.style.width = `${wideRem}rem`;
    group.append(col);
  });
  table.prepend(group);
  search.addEventListener("input", list);
  least.addEventListener("input", list);
  let waiting = false;
  scroller.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });
  window.addEventListener("resize", draw);
  const print = (now) => { printing = now; draw(); };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));

  // ---- small tables: sorts their rows by `data-value`
  document.querySelectorAll("table.sortable").forEach((small) => {
    const headings = [...small.tHead.rows[0].cells];
    const sort = (heading) => {
      const isText = !heading.classList.contains("number");
      const down = heading.ariaSort === "none" ? !isText : heading.ariaSort === "ascending";
      headings.forEach((th) => {
        th.ariaSort = th === heading ? (down ? "descending" : "ascending") : "none";
        th.querySelector("span").textContent = th === heading ? (down ? " ↓" : " ↑") : "";
      });
      const order = (one, other) => {
        const [a, b] = [one, other].map((row) => row.cells[heading.cellIndex].dataset.value);
        if (a === "" || b === "") return (a === "") - (b === ""); // unknown values come last
        return (down ? -1 : 1) * (isText ? collator.compare(a, b) : a - b);
      };
      small.tBodies[0].append(...[...small.tBodies[0].rows].sort(order));
    };
    headings.forEach((heading) => {
      const button = make("button", "", heading.textContent);
      button.type = "button";
      button.append(make("span"));
      button.addEventListener("click", () => sort(heading));
      heading.ariaSort = "none";
      heading.replaceChildren(button);
    });
  });

  // ---- the large view
  const viewer = document.getElementById("viewer");
  const large = viewer.querySelector(".large");
  let current = 0;

  // The visible parts of a card, without its buttons.
  const copies = (card, selector) => [...card.querySelectorAll(selector)].map((original) => {
    if (original.tagName === "IMG") return original.cloneNode();
    const copy = make("div", original.className);
    copy.append(...original.cloneNode(true).childNodes);
    return copy;
  });

  const show = (number) => {
    current = (number + rows.cards.length) % rows.cards.length;
    const card = document.getElementById(rows.cards[current]);
    viewer.querySelector("h2").textContent = card.querySelector(".name").textContent;
    const views = copies(card, ".view, .gone");
    const seen = make("div", views.length > 1 ? "pair" : "");
    seen.append(...views);
    const details = make("div", "details");
    details.append(...copies(card, ".tile, .score, .facts"));
    const split = make("div", views.length > 1 ? "" : "split");
    split.append(seen, details);
    large.replaceChildren(split);
  };
  const open = (number) => { show(number); if (!viewer.open) viewer.showModal(); };
  rows.cards.forEach((id, number) => {
    document.getElementById(id).querySelectorAll("button.view, button.more").forEach((button) =>
      button.addEventListener("click", () => open(number)));
  });
  viewer.querySelector(".previous").addEventListener("click", () => show(current - 1));
  viewer.querySelector(".next").addEventListener("click", () => show(current + 1));
  viewer.querySelector(".close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => {
    const card = document.getElementById(rows.cards[current]);
    const button = card && card.querySelector("button");
    if (button) button.focus();
  });

  // ---- heat or lines, dots and keys
  const switches = document.querySelectorAll("button.heat-switch");
  const heat = () => {
    const cool = document.body.classList.toggle("cool");
    switches.forEach((button) => button.setAttribute("aria-pressed", String(!cool)));
  };
  switches.forEach((button) => button.addEventListener("click", heat));
  document.querySelectorAll("svg .dots").forEach((dots) => {
    dots.addEventListener("click", (event) => {
      search.value = event.target.dataset.image;
      list();
      document.getElementById("all").scrollIntoView();
    });
    dots.addEventListener("pointerover", (event) => { // thousands of titles would slow the page down
      const dot = event.target;
      if (!dot.dataset.title || dot.firstChild) return;
      const title = document.createElementNS(dot.namespaceURI, "title");
      title.textContent = dot.dataset.title;
      dot.append(title);
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    if (event.key === "h" || event.key === "l") heat();
    else if (event.key === "/" && !viewer.open) { event.preventDefault(); search.focus(); }
    else if (viewer.open && event.key === "ArrowLeft") show(current - 1);
    else if (viewer.open && event.key === "ArrowRight") show(current + 1);
  });
  list();
})();
