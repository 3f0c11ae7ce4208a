// The last ten minutes, put together from what the server hands over bit by bit.

const points = 300;

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.last = 0;
    this.tracks = new Map();
    this.time = 0;
    this.seconds = 2;
  }

  points() {
    return points;
  }

  // add takes an answer that was asked for with this.last.
  add(h) {
    const fresh = h.last < this.last || this.last === 0;
    if (fresh) this.tracks.clear();
    const came = fresh ? points : Math.min(points, h.last - this.last), seen = new Set();
    for (const [kind, list] of [["listener", h.listeners], ["upstream", h.upstreams]]) {
      for (const one of list) {
        const key = `${kind}|${one.name}`, before = this.tracks.get(key) || {}, now = {};
        const series = { ...one, ...Object.fromEntries(Object.entries(one.calls || {}).map(([name, v]) => ["call_" + name, v])) };
        for (const [name, v] of Object.entries(series)) {
          if (!Array.isArray(v)) continue;
          const old = before[name] || [];
          now[name] = [...old.slice(Math.max(0, old.length + came - points)), ...v].slice(-points);
        }
        seen.add(key);
        this.tracks.set(key, now);
      }
    }
    for (const key of this.tracks.keys()) if (!seen.has(key)) this.tracks.delete(key);
    this.last = h.last;
    this.time = Date.parse(h.time);
    this.seconds = h.seconds;
  }

  of(kind, name, series) {
    return this.tracks.get(`${kind}|${name}`)?.[series] || [];
  }

  latest(kind, name, series) {
    return this.of(kind, name, series).at(-1);
  }

  // all combines a series of all listeners or upstreams; what none of them knows is null.
  all(kind, series, combine) {
    const lists = [...this.tracks].filter(([key]) => key.startsWith(kind + "|")).map(([, t]) => t[series] || []);
    const length = Math.max(0, ...lists.map((l) => l.length)), out = new Array(length).fill(null);
    for (let i = 0; i < length; i++) {
      for (const l of lists) {
        const v = l[l.length - length + i];
        if (v != null) out[i] = out[i] == null ? v : combine(out[i], v);
      }
    }
    return out;
  }

  sum(kind, series) {
    return this.all(kind, series, (a, b) => a + b);
  }

  most(kind, series) {
    return this.all(kind, series, Math.max);
  }
}

// Rates are how fast counters grow from one answer to the next.
export class Rates {
  constructor() {
    this.before = new Map();
    this.now = new Map();
  }

  begin(time) {
    this.elapsed = this.at ? (time - this.at) / 1000 : 0;
    this.at = time;
    this.before = this.now;
    this.now = new Map();
  }

  // of is null before there are two answers.
  of(key, value) {
    this.now.set(key, value);
    const before = this.before.get(key);
    if (before == null || this.elapsed <= 0) return null;
    return (value < before ? value : value - before) / this.elapsed;
  }

  // mean is by how much total grew for each that count grew.
  mean(key, total, count) {
    const before = this.before.get(key), now = { total, count };
    this.now.set(key, now);
    if (!before || count <= before.count) return null;
    return Math.max(0, total - before.total) / (count - before.count);
  }
}
