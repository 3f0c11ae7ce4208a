// Making and changing elements. Text goes in as text, whatever it holds: nothing here can make markup of it.

export const $ = (id) => document.getElementById(id);

export function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (name === "onclick") e.addEventListener("click", value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c != null && c !== ""));
  return e;
}

// text changes what an element says, if it is something else.
export function text(e, s) {
  if (e.textContent !== s) e.textContent = s;
}

export function className(e, s) {
  if (e.className !== s) e.className = s;
}

// glyphs tell states apart where colour does not.
const glyphs = { ok: "●", warn: "▲", bad: "✕", drain: "◐", info: "·" };

// state is a mark, a word, and why.
export function state(level, word, why) {
  return { level, word, why: why || "", key: `${level}|${word}|${why}` };
}

export function showState(cell, s) {
  if (cell.dataset.key === s.key) return;
  cell.dataset.key = s.key;
  cell.replaceChildren(
    el("span", { class: `state ${s.level}` }, el("span", { "aria-hidden": "true", class: "glyph" }, glyphs[s.level]), s.word),
    s.why ? el("span", { class: "why" }, s.why) : "");
}
