// Upstreams: their endpoints, and of those that know hooks the hooks and EMQX nodes.

import * as dialogs from "./dialogs.js";
import { $, el, state, text } from "./dom.js";
import { count, plural, rate, seconds } from "./format.js";
import { Spark } from "./plot.js";
import { compare, Table } from "./table.js";

// standing is an endpoint's state; the worst sort first.
export function standing(e) {
  if (e.ejected) return { level: "warn", word: "ejected", rank: 1 };
  if (!e.up) return { level: "bad", word: "down", rank: 0 };
  if (e.draining) return { level: "drain", word: "draining", rank: 2 };
  return { level: "ok", word: "up", rank: e.reason ? 3 : 4 };
}

const byHand = (e) => e.draining && e.reason.includes("drained by hand");

export class Upstreams {
  // page has the history, the rates, whether changes are allowed, and what to do after one.
  constructor(page) {
    this.page = page;
    this.views = new Map();
    this.none = el("p", { class: "muted" }, "No upstreams are configured.");
    $("pools").append(this.none);
    for (const id of ["filter", "only"]) $(id).addEventListener("input", () => this.update(this.shown || []));
  }

  update(upstreams) {
    this.shown = upstreams;
    this.none.hidden = upstreams.length > 0;
    const names = new Set(upstreams.map((u) => u.name));
    for (const [name, view] of this.views) {
      if (!names.has(name)) {
        view.element.remove();
        this.views.delete(name);
      }
    }
    for (const u of upstreams) {
      const calls = u.protocol === "grpc";
      let view = this.views.get(u.name);
      if (view && view.calls !== calls) {
        view.element.remove();
        view = null;
      }
      if (!view) {
        view = new View(u.name, calls, this.page);
        this.views.set(u.name, view);
        $("pools").append(view.element);
      }
      view.update(u, $("filter").value.trim().toLowerCase(), $("only").checked);
    }
  }
}

class View {
  constructor(name, calls, page) {
    Object.assign(this, { name, calls, page });
    this.summary = el("span", { class: "muted" });
    this.spark = new Spark(page.history.points());
    this.empty = el("p", { class: "muted" });
    this.endpoints = new Table(`Endpoints of ${name}`, calls ? this.callColumns() : this.streamColumns(), { sortable: true, stack: true });
    this.element = el("div", { class: "pool" },
      el("div", { class: "bar" }, el("h3", {}, name), this.summary, el("span", { class: "grow" }), this.spark.element),
      this.endpoints.element, this.empty);
  }

  // first are the columns that both kinds have.
  first() {
    return [
      { label: "Endpoint", kind: "name", sort: (r) => r.address, value: (r) => r.address },
      { label: "State", kind: "state", sort: (r) => r.rank, value: (r) => state(r.level, r.word, r.why) },
    ];
  }

  streamColumns() {
    return [...this.first(),
      { label: "Active", kind: "number", sort: (r) => r.connections, value: (r) => count(r.connections) },
      { label: "New/s", kind: "number", sort: (r) => r.rate || 0, value: (r) => rate(r.rate) },
      { label: "Failures", kind: "number", sort: (r) => r.failures_total, value: (r) => count(r.failures_total) },
      { label: "CONNACK", kind: "number", sort: (r) => r.answer_seconds || 0, value: (r) => seconds(r.answer_seconds) },
      { label: "Weight", kind: "number minor", sort: (r) => r.weight, value: (r) => count(r.weight) },
      { label: "Source", kind: "text minor", sort: (r) => r.source, value: (r) => r.source },
      this.action()];
  }

  callColumns() {
    return [...this.first(),
      { label: "In flight", kind: "number", sort: (r) => r.provider?.in_flight || 0, value: (r) => count(r.provider?.in_flight) },
      { label: "Calls/s", kind: "number", sort: (r) => r.rate || 0, value: (r) => rate(r.rate) },
      { label: "Failures", kind: "number", sort: (r) => r.provider?.failures || 0, value: (r) => count(r.provider?.failures) },
      { label: "Answer", kind: "number", sort: (r) => r.provider?.seconds || 0, value: (r) => seconds(r.provider?.seconds) },
      { label: "Weight", kind: "number minor", sort: (r) => r.weight, value: (r) => count(r.weight) },
      { label: "Source", kind: "text minor", sort: (r) => r.source, value: (r) => r.source },
      this.action()];
  }

  // action is a button for what can be done now. It stays the same element, so that it keeps the focus.
  action() {
    return { label: "", hidden: "Actions", kind: "action", value: (r, cell) => {
      cell.row = r;
      const what = !this.page.allowed() ? "" : byHand(r) ? "Enable" : "Drain";
      if (cell.what === what) return;
      cell.what = what;
      if (!what) {
        cell.replaceChildren();
        return;
      }
      if (!cell.firstChild) cell.append(el("button", { type: "button", onclick: () => this.act(cell.row, cell.what) }));
      text(cell.firstChild, what + "…");
      cell.firstChild.setAttribute("aria-label", `${what} ${r.address} of ${this.name}`);
    } };
  }

  act(r, what) {
    if (what === "Enable") dialogs.enable(this.name, r, this.page.changed);
    else dialogs.drain(this.name, r, this.all.filter((e) => e.address !== r.address && e.up && !e.draining).length, this.page.changed);
  }

  update(u, filter, only) {
    const rates = this.page.rates, before = new Map(this.all?.map((r) => [r.address, r.rate]));
    this.all = u.endpoints.map((e) => {
      const s = standing(e), total = this.calls ? e.provider?.calls || 0 : e.connects_total;
      return { ...e, ...s, key: e.address, why: why(e), rate: this.page.polled ? rates.of(`endpoint|${u.name}|${e.address}`, total) : before.get(e.address) ?? null };
    });
    const shown = this.all
      .filter((r) => (!only || r.rank < 4) && (!filter || `${u.name} ${r.address} ${r.word} ${r.why} ${r.source}`.toLowerCase().includes(filter)))
      .sort((a, b) => a.rank - b.rank || compare(a.address, b.address));
    this.endpoints.update(shown);
    this.endpoints.element.hidden = !shown.length;
    this.empty.hidden = shown.length > 0;
    text(this.empty, u.endpoints.length ? "No endpoint matches the filter." : "No endpoints yet: the sources of this upstream have named none.");
    text(this.summary, summary(u, this.all, shown));
    this.spark.update(this.page.history.of("upstream", u.name, this.calls ? "call_rate" : "connections"));
    this.hooks(u.exhook);
  }

  hooks(x) {
    if (!x) return;
    this.hookTable ||= this.addTable(new Table(`Hooks of ${this.name}`, [
      { label: "Hook", kind: "name", sort: (r) => r.name, value: (r) => r.name },
      { label: "Providers", kind: "number", sort: (r) => r.providers, value: (r) => count(r.providers) },
      { label: "Calls/s", kind: "number", sort: (r) => r.rate || 0, value: (r) => rate(r.rate) },
      { label: "Mean", kind: "number", sort: (r) => r.mean || 0, value: (r) => seconds(r.mean) },
      { label: "Errors", kind: "number", sort: (r) => r.errors, value: (r) => count(r.errors) },
      { label: "Fallbacks", kind: "number", sort: (r) => r.fallbacks, value: (r) => count(r.fallbacks) },
      { label: "Dropped", kind: "number", sort: (r) => r.early_dropped, value: (r) => count(r.early_dropped) },
    ], { sortable: true }), "Hooks", "No hook has been called, and no provider has registered one.");
    this.nodeTable ||= this.addTable(new Table(`EMQX nodes that call ${this.name}`, [
      { label: "EMQX node", kind: "name", sort: (r) => r.name, value: (r) => r.name },
      { label: "Hooks there", kind: "state", value: (r) => (r.drift ? state("warn", "differ", r.drift) : state("ok", "agree", "")) },
      { label: "Version", kind: "text", value: (r) => r.version },
      { label: "Calls/s", kind: "number", sort: (r) => r.rate || 0, value: (r) => rate(r.rate) },
    ], { sortable: true }), "EMQX nodes", "No EMQX node has called yet.");
    if (!this.page.polled) return;
    const rates = this.page.rates;
    this.fillTable(this.hookTable, x.hooks.map((h) => ({
      ...h, key: h.name, rate: rates.of(`hook|${this.name}|${h.name}`, h.calls), mean: rates.mean(`mean|${this.name}|${h.name}`, h.seconds, h.calls),
    })));
    this.fillTable(this.nodeTable, x.nodes.map((n) => ({
      ...n, key: n.name + n.protocol, rate: rates.of(`node|${this.name}|${n.name}|${n.protocol}`, n.calls), drift: drift(x.drift.find((d) => d.node === n.name)),
    })));
  }

  addTable(table, title, nothing) {
    const none = el("p", { class: "muted" }, nothing);
    this.element.append(el("h4", {}, title), table.element, none);
    return { table, none };
  }

  fillTable({ table, none }, rows) {
    table.update(rows);
    table.element.hidden = !rows.length;
    none.hidden = rows.length > 0;
  }
}

function why(e) {
  const parts = e.reason ? [e.reason] : [];
  const p = e.provider;
  if (p) {
    if (p.nodes?.length) parts.push("loaded for " + p.nodes.join(", "));
    if (p.hooks?.length) parts.push(plural(p.hooks.length, "hook"));
  }
  if (e.answer_seconds >= 0.5) parts.push(`answers after ${seconds(e.answer_seconds)}`);
  return parts.join("; ");
}

export function drift(d) {
  if (!d) return "";
  const parts = [];
  if (d.unknown?.length) parts.push("EMQX does not call, until its exhook is disabled and enabled: " + d.unknown.join(", "));
  if (d.unserved?.length) parts.push("EMQX calls what no provider wants: " + d.unserved.join(", "));
  return parts.join("; ");
}

function summary(u, all, shown) {
  const parts = [`${all.filter((e) => e.up && !e.draining).length} of ${plural(all.length, "endpoint")} in use`];
  const waiting = u.exhook?.waiting || 0, early = u.exhook?.early_waiting || 0;
  if (waiting) parts.push(`${plural(waiting, "call")} wait for a provider`);
  if (early) parts.push(`${plural(early, "notification")} to be delivered`);
  if (shown.length < all.length) parts.push(`${count(shown.length)} shown`);
  return (u.protocol ? u.protocol + " · " : "") + parts.join(" · ");
}
