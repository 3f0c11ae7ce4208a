// The table of listeners.

import { $, el, state } from "./dom.js";
import { bytes, count, rate } from "./format.js";
import { Spark } from "./plot.js";
import { Table } from "./table.js";

export class Listeners {
  constructor(history) {
    const spark = (r, cell) => {
      cell.spark ||= new Spark(history.points());
      if (!cell.firstChild) cell.append(cell.spark.element);
      cell.spark.update(history.of("listener", r.name, "active"));
    };
    const now = (r, series) => history.latest("listener", r.name, series);
    this.table = new Table("Listeners", [
      { label: "Listener", kind: "name", sort: (r) => r.name, value: (r) => r.name },
      { label: "Address", kind: "state", value: (r) => state("plain", r.addresses.join(", "), why(r)) },
      { label: "Protocol", kind: "text", sort: protocol, value: protocol },
      { label: "Active", kind: "number", sort: (r) => r.active, value: (r) => count(r.active) },
      { label: "New/s", kind: "number", sort: (r) => now(r, "accepted") || 0, value: (r) => rate(now(r, "accepted")) },
      { label: "Refused", kind: "number", sort: refused, value: (r) => count(refused(r)) },
      { label: "Msgs in/s", kind: "number", sort: (r) => now(r, "messages_in") || 0, value: (r) => rate(now(r, "messages_in")) },
      { label: "Msgs out/s", kind: "number", sort: (r) => now(r, "messages_out") || 0, value: (r) => rate(now(r, "messages_out")) },
      { label: "In/s", kind: "number", sort: (r) => now(r, "bytes_in") || 0, value: (r) => bytes(now(r, "bytes_in")) },
      { label: "Out/s", kind: "number", sort: (r) => now(r, "bytes_out") || 0, value: (r) => bytes(now(r, "bytes_out")) },
      { label: "", hidden: "Connections, last ten minutes", kind: "node", value: spark },
    ], { sortable: true, stack: true });
    this.none = el("p", { class: "muted" }, "No listeners: this process takes no connections. An agent only announces its endpoints to others by gossip.");
    $("listeners").append(this.table.element, this.none);
  }

  update(listeners) {
    this.table.element.hidden = !listeners.length;
    this.none.hidden = listeners.length > 0;
    this.table.update(listeners.map((l) => ({ ...l, key: l.name })));
  }
}

const protocol = (l) => l.protocol + (l.tls ? " + TLS" : "");

export function refused(l) {
  return Object.values(l.refused).reduce((a, b) => a + b, 0);
}

// why lists what a listener has to say beside numbers.
function why(l) {
  const parts = [];
  if (l.waiting) parts.push(`${count(l.waiting)} wait for their turn`);
  const reasons = Object.entries(l.refused).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  if (reasons.length) parts.push("refused: " + reasons.map(([r, n]) => `${r} ${count(n)}`).join(", "));
  if (l.last_refusal) parts.push("the last one: " + l.last_refusal);
  return parts.join("; ");
}
