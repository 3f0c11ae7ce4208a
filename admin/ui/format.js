// How values are written.

export function count(n) {
  return Number(n || 0).toLocaleString("en-US");
}

// rate is of something a second; null is not known.
export function rate(v) {
  if (v == null || !isFinite(v)) return "–";
  if (v === 0) return "0";
  if (v < 0.1) return "<0.1";
  if (v < 10) return v.toFixed(1);
  return count(Math.round(v));
}

export function bytes(v) {
  if (v == null || !isFinite(v)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (v >= 1024 && i < units.length - 1) {
    v /= 1024;
    i++;
  }
  return (v >= 100 || i === 0 ? Math.round(v) : v.toFixed(1)) + " " + units[i];
}

export function seconds(v) {
  if (v == null || !isFinite(v) || v === 0) return "–";
  if (v < 0.001) return Math.round(v * 1e6) + " µs";
  if (v < 0.01) return (v * 1e3).toFixed(1) + " ms";
  if (v < 1) return Math.round(v * 1e3) + " ms";
  return v.toFixed(1) + " s";
}

// span is a time in its two largest units.
export function span(s) {
  s = Math.max(0, Math.floor(s));
  const days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24, minutes = Math.floor(s / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${s % 60} s`;
  return `${s} s`;
}

// clock is the time of day here, with the date unless it is today's.
export function clock(date) {
  const time = date.toTimeString().slice(0, 8);
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

function two(n) {
  return String(n).padStart(2, "0");
}

export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many || one + "s"}`;
}
