// The dashboard: asks every two seconds, and shows what came.

import { access, get, token } from "./api.js";
import * as dialogs from "./dialogs.js";
import { $, className, text } from "./dom.js";
import { bytes, clock, count, plural, rate, seconds, span } from "./format.js";
import { History, Rates } from "./history.js";
import { Listeners } from "./listeners.js";
import { Plot } from "./plot.js";
import { attention, Certificates, Events, expiry, Members, spoken } from "./side.js";
import { drift, standing, Upstreams } from "./upstreams.js";

const every = 2000, late = 3 * every; // milliseconds

const history = new History(), rates = new Rates(), events = new Events();
const may = { changes: "", allowed: false, reason: "" };
const page = { history, rates, polled: false, allowed: () => may.allowed, changed: () => poll() };
const listeners = new Listeners(history), upstreams = new Upstreams(page), certificates = new Certificates(), members = new Members();
const plots = makePlots();

let away = null; // since when nothing was heard, and why
let heard = null; // when the last answer came
let started = "";
let timer, polling = false, again = false;

function makePlots() {
  const o = { points: history.points(), seconds: 2 };
  const number = (v) => (v == null ? "–" : count(Math.round(v)));
  return [
    { of: "streams", plot: new Plot("Connections", [{ label: "open", format: number }], { ...o, least: 10 }),
      values: () => [history.sum("listener", "active")] },
    { of: "streams", plot: new Plot("New connections a second", [{ label: "accepted", format: rate }, { label: "refused", format: rate }], o),
      values: () => [history.sum("listener", "accepted"), history.sum("listener", "refused")] },
    { of: "streams", plot: new Plot("Traffic a second", [{ label: "in", format: bytes }, { label: "out", format: bytes }], { ...o, least: 1024, base: 1024 }),
      values: () => [history.sum("listener", "bytes_in"), history.sum("listener", "bytes_out")] },
    { of: "mqtt", plot: new Plot("MQTT messages a second", [{ label: "in", format: rate }, { label: "out", format: rate }], o),
      values: () => [history.sum("listener", "messages_in"), history.sum("listener", "messages_out")] },
    { of: "mqtt", plot: new Plot("Time to CONNACK", [{ label: "median", format: seconds }, { label: "slowest endpoint", format: seconds }], { ...o, least: 0.001 }),
      values: () => [history.most("upstream", "answer"), history.most("upstream", "slowest")] },
    { of: "calls", plot: new Plot("Calls a second", [{ label: "all", format: rate }, { label: "errors", format: rate }], o),
      values: () => [history.sum("upstream", "call_rate"), history.sum("upstream", "call_errors")] },
    { of: "calls", plot: new Plot("Time of a call", [{ label: "mean", format: seconds }, { label: "99 of 100 within", format: seconds }], { ...o, least: 0.001 }),
      values: () => [history.most("upstream", "call_mean"), history.most("upstream", "call_p99")] },
  ];
}

async function poll() {
  if (polling) {
    again = true;
    return;
  }
  polling = true;
  clearTimeout(timer);
  let shown;
  try {
    const [s, a] = await Promise.all([get("api/v1/status"), access()]);
    if (s.version.started !== started) {
      history.clear();
      events.clear();
      started = s.version.started;
    }
    const [h, e] = await Promise.all([get(`api/v1/history?since=${history.last}`), get(`api/v1/events?since=${events.last}`)]);
    heard = Date.now();
    away = null;
    Object.assign(may, a);
    shown = [s, h, e];
  } catch (err) {
    away ||= { why: "" };
    away.why = err.name === "TimeoutError" ? "it takes longer than 5 s" : err.status ? err.message : "the connection fails";
  }
  try {
    if (shown) show(...shown);
  } catch (err) {
    away = { why: "this page cannot show what it was told: " + err.message };
    console.error(err);
  }
  polling = false;
  showPresence();
  clearTimeout(timer);
  if (again) {
    again = false;
    poll();
  } else if (!document.hidden) timer = setTimeout(poll, every);
}

function show(s, h, e) {
  const now = Date.parse(s.time);
  history.add(h);
  rates.begin(now);
  page.polled = true;
  text($("about"), `${s.version.version}${s.version.commit ? ` (${s.version.commit.slice(0, 12)})` : ""} · up ${span((now - Date.parse(s.version.started)) / 1000)}`);
  text($("ready"), s.ready ? "● ready" : `✕ not ready: ${s.reason}`);
  className($("ready"), s.ready ? "state ok" : "state bad");
  listeners.update(s.listeners);
  upstreams.update(s.upstreams);
  certificates.update(s.certificates, now);
  members.update(s.members, now);
  showPlots(s);
  const problems = problemsOf(s, now);
  attention(problems);
  document.title = problems.length ? `(${problems.length}) mqedge` : "mqedge";
  const news = events.add(e);
  if (news.length) text($("live"), news.slice(-3).map(spoken).join(". ") + (news.length > 3 ? `. And ${plural(news.length - 3, "more event")}` : ""));
  page.polled = false; // what the user does between two answers changes no rates
}

function showPlots(s) {
  const kinds = {
    streams: s.listeners.length > 0,
    mqtt: s.listeners.some((l) => l.protocol.startsWith("mqtt")),
    calls: s.listeners.some((l) => l.protocol === "grpc"),
  };
  $("plots-section").hidden = !kinds.streams;
  for (const p of plots) {
    if (!kinds[p.of]) p.plot.element.remove();
    else if (!p.plot.element.parentNode) $("plots").append(p.plot.element);
    p.plot.update(p.values(), history.time);
  }
  $("plots").dataset.plots = $("plots").childElementCount;
}

const mostProblems = 8;

function problemsOf(s, now) {
  const found = [];
  if (!s.ready) found.push({ level: "bad", what: "not ready", why: s.reason, where: "listeners" });
  for (const u of s.upstreams) {
    if (!u.endpoints.length && u.protocol) found.push({ level: "bad", what: `${u.name} has no endpoints`, where: "upstreams" });
    for (const e of u.endpoints) {
      const st = standing(e);
      if (st.rank < 3) found.push({ level: st.level, what: `${e.address} of ${u.name} is ${st.word}`, why: e.reason, where: "upstreams", rank: st.rank });
    }
    for (const d of u.exhook?.drift || []) found.push({ level: "warn", what: `hooks at ${d.node} differ from those of ${u.name}`, why: drift(d), where: "upstreams" });
  }
  for (const c of s.certificates) {
    const x = expiry(c, now);
    if (x.level === "bad" || x.level === "warn") found.push({ level: x.level, what: `${c.file}: ${x.word}`, why: c.error, where: "certificates" });
  }
  const silent = s.members.filter((m) => !m.alive && !m.left);
  if (silent.length) found.push({ level: "warn", what: `${plural(silent.length, "gossip member")} silent`, why: silent.slice(0, 5).map((m) => m.host).join(", "), where: "members" });
  const order = { bad: 0, warn: 1, drain: 2 };
  found.sort((a, b) => order[a.level] - order[b.level]);
  if (found.length <= mostProblems) return found.map(bare);
  const rest = found.length - mostProblems + 1;
  return [...found.slice(0, mostProblems - 1).map(bare), { level: "warn", what: `${count(rest)} more`, where: "upstreams" }];
}

const bare = ({ level, what, why, where }) => ({ level, what, why: why || "", where });

// showPresence says how old what is shown is, and what may be done.
function showPresence() {
  const now = Date.now(), age = heard ? (now - heard) / 1000 : 0;
  const gone = away || (heard && now - heard > late && !document.hidden);
  document.body.classList.toggle("stale", Boolean(gone));
  const banner = $("away");
  banner.hidden = !gone;
  if (gone) {
    const shown = heard ? `No answer from mqedge for ${span(age)}. What is shown is from ${clock(new Date(heard))}.` : "No answer from mqedge yet.";
    text(banner, shown + (away?.why ? ` (${away.why})` : ""));
    text($("updated"), "");
  } else {
    text($("updated"), heard ? `updated ${clock(new Date(heard))}` : "");
  }
  showAccess();
}

function showAccess() {
  const has = Boolean(token.get());
  const words = { open: "", token: may.allowed ? "" : "read-only", refused: "read-only" };
  let note = words[may.changes] || "";
  if (may.changes === "refused") note = "read-only: no admin.token_file";
  text($("access"), note);
  $("access").title = may.allowed ? "" : may.reason;
  $("token").hidden = may.changes !== "token";
  text($("token"), has && may.allowed ? "Forget token" : "Enter token…");
  $("reload").hidden = !may.allowed;
  for (const b of document.querySelectorAll("header button, td.action button")) b.disabled = Boolean(away);
  if (page.seen !== page.allowed()) {
    page.seen = page.allowed();
    if (upstreams.shown) upstreams.update(upstreams.shown);
  }
}

$("reload").onclick = () => dialogs.reload(poll);
$("token").onclick = () => {
  if (token.get() && may.allowed) {
    token.set("");
    poll();
  } else dialogs.askToken(poll);
};
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
setInterval(showPresence, 1000);
poll();
