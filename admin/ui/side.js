// What stands beside listeners and upstreams: events, certificates, members.

import { $, className, el, state, text } from "./dom.js";
import { clock, count, span } from "./format.js";
import { Table } from "./table.js";

const mostEvents = 500, mostShown = 150;
const levels = { info: "info", warn: "warn", error: "bad" };

export class Events {
  constructor() {
    this.rows = new Map();
    this.clear();
    this.none = el("li", { class: "muted" }, "Nothing has happened yet.");
    $("warnings").addEventListener("input", () => this.show());
  }

  clear() {
    this.last = 0;
    this.byFirst = new Map();
    this.fresh = true;
    for (const row of this.rows.values()) row.remove(); // another process gives the same numbers to other events
    this.rows.clear();
  }

  // add takes an answer that was asked for with this.last, and returns what is news in it.
  add(list) {
    if (list.last_id < this.last) this.clear();
    const first = this.fresh;
    for (const e of list.events) {
      this.byFirst.delete(e.first_id); // it goes to the end
      this.byFirst.set(e.first_id, e);
    }
    while (this.byFirst.size > mostEvents) this.byFirst.delete(this.byFirst.keys().next().value);
    this.last = list.last_id;
    this.fresh = false;
    if (list.events.length || first) this.show();
    return first ? [] : list.events;
  }

  show() {
    const wanted = [...this.byFirst.values()].reverse().filter((e) => !$("warnings").checked || e.level !== "info").slice(0, mostShown);
    const keep = new Set(wanted.map((e) => e.first_id));
    for (const [id, row] of this.rows) if (!keep.has(id)) this.rows.delete(id) && row.remove();
    let at = $("event-list").firstChild;
    for (const e of wanted) {
      let row = this.rows.get(e.first_id);
      if (!row) {
        row = el("li");
        this.rows.set(e.first_id, row);
      }
      if (row === at) at = at.nextSibling;
      else $("event-list").insertBefore(row, at);
      if (row.dataset.id !== String(e.id)) {
        row.dataset.id = e.id;
        row.replaceChildren(...described(e));
      }
    }
    if (wanted.length) this.none.remove();
    else $("event-list").append(this.none);
  }
}

const words = { info: "", warn: "warning", error: "error" };
const marks = { info: "·", warn: "▲", error: "✕" };

function described(e) {
  const at = new Date(e.time);
  return [
    el("time", { datetime: e.time }, clock(at)),
    el("span", { class: `state ${levels[e.level] || "info"}` }, el("span", { class: "glyph", "aria-hidden": "true" }, marks[e.level] || "·"),
      words[e.level] ? el("span", { class: "unseen" }, words[e.level] + ": ") : null, e.text),
    e.count > 1 ? el("span", { class: "times" }, ` ×${count(e.count)} since ${clock(new Date(e.first_time))}`) : "",
    el("span", { class: "why" }, ...e.attributes.flatMap((a) => [el("span", { class: "attribute" }, `${a.name} `, el("b", {}, a.value)), " "])),
  ];
}

// spoken is an event in words alone.
export function spoken(e) {
  return [words[e.level] ? words[e.level] + ":" : "", e.text, ...e.attributes.filter((a) => ["upstream", "endpoint", "listener", "name"].includes(a.name)).map((a) => a.value)].join(" ").trim();
}

const day = 86400, soon = 21 * day, verySoon = 7 * day;

// expiry is a certificate's state.
export function expiry(c, now) {
  const left = (Date.parse(c.not_after) - now) / 1000, known = Date.parse(c.not_after) > 0;
  const date = known ? c.not_after.slice(0, 10) : "";
  const why = [c.names.slice(0, 3).join(", ") + (c.names.length > 3 ? ` +${c.names.length - 3}` : ""), date && `until ${date}`, c.error].filter(Boolean).join("; ");
  if (!known) return { ...state(c.error ? "bad" : "info", c.error ? "not usable" : "unknown", why), left: Infinity };
  let level = "ok", word = left < 2 * day ? `expires in ${span(left)}` : `${Math.floor(left / day)} days left`;
  if (left <= 0) [level, word] = ["bad", `expired ${span(-left)} ago`];
  else if (left < verySoon) [level, word] = ["bad", left < 2 * day ? word : word + ", expires very soon"];
  else if (left < soon) [level, word] = ["warn", word + ", expires soon"];
  if (c.error && level === "ok") level = "warn";
  return { ...state(level, word, why), left };
}

export class Certificates {
  constructor() {
    this.table = new Table("Certificates", [
      { label: "Certificate", kind: "name", value: (c) => c.file },
      { label: "Left", kind: "state", value: (c) => c.expiry },
    ]);
    this.none = el("p", { class: "muted" }, "No certificates are in use.");
    $("certificates").append(this.table.element, this.none);
  }

  update(certificates, now) {
    this.none.hidden = certificates.length > 0;
    this.table.element.hidden = !certificates.length;
    this.table.update(certificates.map((c) => ({ ...c, key: c.file, expiry: expiry(c, now) })).sort((a, b) => a.expiry.left - b.expiry.left));
  }
}

export class Members {
  constructor() {
    this.table = new Table("Gossip members", [
      { label: "Member", kind: "name", value: (m) => m.host + (m.self ? " (this one)" : "") },
      { label: "Address", kind: "text", value: (m) => m.address },
      { label: "State", kind: "state", value: (m) => (m.alive ? state("ok", "alive", "") : m.left ? state("info", "left", "") : state("warn", "silent", "")) },
      { label: "For", kind: "number", value: (m) => m.time },
    ]);
    this.none = el("p", { class: "muted" }, "Gossip is not configured.");
    $("members").append(this.table.element, this.none);
  }

  update(members, now) {
    this.none.hidden = members.length > 0;
    this.table.element.hidden = !members.length;
    this.table.update(members.map((m) => ({ ...m, key: m.name, time: span((now - Date.parse(m.since)) / 1000) }))
      .sort((a, b) => a.alive - b.alive || a.host.localeCompare(b.host)));
  }
}

// attention lists what is not as it should be, and returns how many things that are.
export function attention(problems) {
  const list = $("problems");
  const key = JSON.stringify(problems);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  className($("attention"), problems.length ? "some" : "none");
  text($("attention-title"), problems.length ? "Attention" : "Nothing needs attention");
  list.replaceChildren(...problems.map((p) => {
    const mark = el("span", { class: `state ${p.level}` }, el("span", { class: "glyph", "aria-hidden": "true" }, p.level === "bad" ? "✕" : p.level === "drain" ? "◐" : "▲"), p.what);
    return el("li", {}, el("a", { href: "#" + p.where }, mark), p.why ? el("span", { class: "why" }, p.why) : "");
  }));
}
