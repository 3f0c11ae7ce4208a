// A table that is updated in place: rows are known by a key, and only what differs is written.

import { className, el, showState, text } from "./dom.js";

// Table takes columns {name, label, kind, sort, value}: kind is name, state, number, text, node or action; value(row)
// is what is shown, sort(row) what the rows are ordered by. With sortable its headings are buttons.
export class Table {
  constructor(caption, columns, { sortable = false, stack = false } = {}) {
    this.columns = columns;
    this.rows = new Map();
    this.by = null;
    this.down = false;
    this.headings = columns.map((c) => this.heading(c, sortable));
    this.body = el("tbody", { role: "rowgroup" });
    // Where rows are stacked they are no table cells any more to some screen readers: the roles say that they are.
    this.table = el("table", { role: "table", class: stack ? "stack" : null },
      el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...this.headings)), this.body);
    this.element = el("div", { class: "scroll" }, this.table);
    this.caption = caption;
  }

  heading(c, sortable) {
    const label = sortable && c.sort ? el("button", { type: "button", class: "sort", onclick: () => this.order(c) }, c.label) : c.label;
    return el("th", { scope: "col", role: "columnheader", class: c.kind }, c.label ? label : el("span", { class: "unseen" }, c.hidden || "Actions"));
  }

  order(c) {
    this.down = this.by === c ? !this.down : c.kind.startsWith("number");
    this.by = c;
    this.columns.forEach((other, i) => {
      if (other === c) this.headings[i].setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else this.headings[i].removeAttribute("aria-sort");
    });
    this.update(this.shown);
  }

  // update shows these rows, each with a key of its own, in this order unless one was asked for.
  update(rows) {
    this.shown = rows;
    if (this.by) {
      const sign = this.down ? -1 : 1;
      rows = [...rows].sort((a, b) => sign * compare(this.by.sort(a), this.by.sort(b)));
    }
    const keep = new Set(rows.map((r) => r.key));
    for (const [key, row] of this.rows) {
      if (!keep.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null; // moving its row would lose it
    let at = this.body.firstChild;
    for (const r of rows) {
      let row = this.rows.get(r.key);
      if (!row) {
        row = this.newRow();
        this.rows.set(r.key, row);
      }
      if (row === at) at = at.nextSibling;
      else this.body.insertBefore(row, at);
      this.fill(row, r);
    }
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
    const long = rows.length > 25;
    if (long !== this.long) {
      this.long = long;
      this.element.classList.toggle("long", long);
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", this.caption]]) {
        if (long) this.element.setAttribute(name, value);
        else this.element.removeAttribute(name);
      }
    }
  }

  newRow() {
    return el("tr", { role: "row" }, ...this.columns.map((c) =>
      c.kind === "name" ? el("th", { scope: "row", role: "rowheader", class: c.kind })
        : el("td", { role: "cell", class: c.kind, "data-label": c.label })));
  }

  fill(row, r) {
    className(row, r.level ? "is-" + r.level : "");
    this.columns.forEach((c, i) => {
      const cell = row.children[i], value = c.value(r, cell);
      switch (c.kind) {
        case "state":
          showState(cell, value);
          break;
        case "node":
        case "action":
          break; // it was put there
        default:
          text(cell, String(value));
      }
    });
  }
}

export function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
