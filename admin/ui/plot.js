// Small plots of the last minutes.

import { el, text } from "./dom.js";

const space = "http://www.w3.org/2000/svg";

function svg(tag, attributes) {
  const e = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// line is the path through values; null leaves a gap. Of points it is given how many fit into the width.
function line(values, points, width, height, top, close) {
  let d = "", from = 0, x = 0, open = false;
  const end = () => {
    if (open && close) d += `L${x} ${height}L${from} ${height}Z`;
    open = false;
  };
  values.forEach((v, i) => {
    if (v == null) {
      end();
      return;
    }
    x = round(width - (values.length - 1 - i) * (width / (points - 1)));
    const y = round(height - 1 - (height - 3) * (v / top));
    if (!open) from = x;
    d += `${open ? "L" : "M"}${x} ${y}`;
    open = true;
  });
  end();
  return d;
}

const round = (v) => Math.round(v * 10) / 10;

// ceiling is a round number that is not less than any of the values; base is what a thousand is.
function ceiling(values, least, base = 1000) {
  const most = Math.max(least, ...values.filter((v) => v != null));
  const prefix = base ** Math.floor(Math.log(most) / Math.log(base)), unit = prefix * 10 ** Math.floor(Math.log10(most / prefix));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((f) => f * unit).find((v) => v >= most * 0.999);
}

// Spark is one line without words, for a table.
export class Spark {
  constructor(points) {
    this.points = points;
    this.path = svg("path", { class: "line first" });
    this.area = svg("path", { class: "area" });
    this.element = svg("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.element.append(this.area, this.path);
  }

  update(values) {
    const top = ceiling(values, 1);
    this.path.setAttribute("d", line(values, this.points, 100, 20, top, false));
    this.area.setAttribute("d", line(values, this.points, 100, 20, top, true));
  }
}

const width = 300, height = 56;
const headroom = 1.25; // for the number in the corner

// Plot is a figure with a heading, the latest values, and the lines that led there; pointing at it shows others.
export class Plot {
  // series are {label, format}: the first is drawn as an area, the second as a broken line.
  constructor(title, series, { points, seconds, least = 1, base }) {
    Object.assign(this, { title, series, points, seconds, least, base });
    this.values = series.map(() => []);
    this.figures = series.map((s, i) => {
      const value = el("span", { class: "value" });
      return { value, element: el("span", { class: `figure ${i ? "second" : "first"}` },
        series.length > 1 ? el("span", { class: "swatch", "aria-hidden": "true" }) : null,
        value, series.length > 1 ? el("span", { class: "muted" }, " " + s.label) : null) };
    });
    this.area = svg("path", { class: "area" });
    this.paths = series.map((_, i) => svg("path", { class: `line ${i ? "second" : "first"}` }));
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: height, visibility: "hidden" });
    this.svg = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
    this.svg.append(this.area, ...this.paths, this.cursor);
    this.top = el("span", { class: "top muted" });
    this.when = el("span", { class: "when muted" });
    this.element = el("div", { class: "plot" },
      el("div", { class: "bar" }, el("h3", {}, title), el("span", { class: "grow" }), this.when),
      el("div", { class: "figures" }, ...this.figures.map((f) => f.element)),
      el("div", { class: "canvas" }, this.svg, this.top));
    this.svg.addEventListener("pointermove", (e) => this.point(e.offsetX / this.svg.clientWidth));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  update(values, end) {
    this.values = values;
    this.end = end;
    const top = ceiling(values.flat().map((v) => v && v * headroom), this.least, this.base);
    values.forEach((v, i) => this.paths[i].setAttribute("d", line(v, this.points, width, height, top, false)));
    this.area.setAttribute("d", line(values[0], this.points, width, height, top, true));
    text(this.top, this.series[0].format(top));
    this.svg.setAttribute("aria-label", this.summary());
    this.show();
  }

  summary() {
    const parts = this.series.map((s, i) => {
      const known = this.values[i].filter((v) => v != null);
      if (!known.length) return `${s.label}: not known`;
      return `${s.label}: now ${s.format(known[known.length - 1])}, at the least ${s.format(Math.min(...known))}, at the most ${s.format(Math.max(...known))}`;
    });
    return `${this.title}, last ten minutes. ${parts.join("; ")}`;
  }

  point(share) {
    this.share = share;
    this.show();
  }

  // show writes the values where the pointer is, or the latest.
  show() {
    const length = this.values[0].length;
    let i = length - 1;
    const pointed = this.share != null && length > 0;
    if (pointed) i = Math.max(0, Math.min(length - 1, Math.round(length - 1 - (1 - this.share) * (this.points - 1))));
    this.figures.forEach((f, n) => text(f.value, this.series[n].format(i < 0 ? null : this.values[n][i])));
    this.cursor.setAttribute("visibility", pointed ? "visible" : "hidden");
    if (!pointed) {
      text(this.when, "");
      return;
    }
    const x = width - (length - 1 - i) * (width / (this.points - 1));
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    text(this.when, new Date(this.end - (length - 1 - i) * this.seconds * 1000).toTimeString().slice(0, 8));
  }
}
