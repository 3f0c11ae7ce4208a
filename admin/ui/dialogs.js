// What is asked before something is changed.

import { access, endpointPath, get, post, token } from "./api.js";
import { $, el } from "./dom.js";
import { count, plural } from "./format.js";

// Each dialog has one thing to do at a time: what its form is for is set when it is opened.
function open(dialog, submit) {
  const form = dialog.querySelector("form"), error = dialog.querySelector(".error"), go = dialog.querySelector("[type=submit]");
  error.replaceChildren();
  dialog.querySelector(".cancel").onclick = () => dialog.close();
  form.onsubmit = async (e) => {
    e.preventDefault();
    error.replaceChildren();
    go.disabled = true;
    try {
      await submit();
      dialog.close();
    } catch (err) {
      error.replaceChildren(err.message, err.problems?.length ? el("ul", {}, ...err.problems.map((p) => el("li", {}, p))) : "");
    } finally {
      go.disabled = false;
    }
  };
  dialog.showModal();
}

const duration = /^(\d+(\.\d+)?(ms|s|m|h))+$/;

// drain asks how; others is how many endpoints of the upstream could take the clients.
export function drain(upstream, e, others, done) {
  const calls = e.provider, dialog = $("drain-dialog"), over = $("drain-over");
  $("drain-title").textContent = `Drain ${e.address}?`;
  $("drain-what").textContent = calls
    ? `It gets no new calls of upstream ${upstream}; those under way end.`
    : `It gets no new connections of upstream ${upstream}, and has ${plural(e.connections, "connection")}.`;
  $("drain-last").hidden = others > 0;
  $("drain-last").textContent = "▲ No other endpoint of this upstream is in use: clients will find none.";
  dialog.querySelector("fieldset").hidden = Boolean(calls);
  dialog.querySelector("[value=move]").checked = true;
  dialog.querySelector("[type=submit]").textContent = calls || !e.connections ? "Drain" : `Drain and move ${count(e.connections)}`;
  const keep = dialog.querySelector("[value=keep]");
  dialog.querySelector("fieldset").onchange = () => {
    dialog.querySelector("[type=submit]").textContent = keep.checked || !e.connections ? "Drain" : `Drain and move ${count(e.connections)}`;
  };
  over.value = "";
  over.oninput = () => (dialog.querySelector("[value=move]").checked = true);
  over.placeholder = "…";
  get("api/v1/config").then((c) => (over.placeholder = c.drain.over), () => (over.placeholder = "as set"));
  open(dialog, async () => {
    let query = "";
    if (keep.checked && !calls) query = "?keep=true";
    else if (over.value.trim()) {
      if (!duration.test(over.value.trim())) throw new Error(`“${over.value}” is no time: write for example 30s or 5m`);
      query = "?over=" + encodeURIComponent(over.value.trim());
    }
    await change(endpointPath(upstream, e.address, "drain") + query, done);
  });
}

export function enable(upstream, e, done) {
  confirm(`Enable ${e.address}?`, `It gets new ${e.provider ? "calls" : "connections"} of upstream ${upstream} again; clients that have not been moved away stay.`,
    "Enable", () => change(endpointPath(upstream, e.address, "enable"), done));
}

export function reload(done) {
  confirm("Reload the configuration?", "The file is read and checked. If there is a mistake in it, nothing changes. Connections go on.",
    "Reload", () => change("api/v1/reload", done));
}

function confirm(title, what, action, submit) {
  const dialog = $("confirm-dialog");
  $("confirm-title").textContent = title;
  $("confirm-what").textContent = what;
  dialog.querySelector("[type=submit]").textContent = action;
  open(dialog, submit);
}

// change does it. A token that is not good any more is forgotten.
async function change(path, done) {
  try {
    await post(path);
  } catch (err) {
    if (err.status === 401) {
      token.set("");
      done();
      throw new Error("The token is not the one in admin.token_file any more: close this and enter it again.");
    }
    throw err;
  }
  done();
}

export function askToken(done) {
  const text = $("token-text");
  text.value = "";
  open($("token-dialog"), async () => {
    const t = text.value.trim();
    if (!/^[\x21-\x7e]+$/.test(t)) throw new Error("This is no token: it has characters that cannot be sent.");
    const answer = await access(t);
    if (!answer.allowed) throw new Error("This is not the token in admin.token_file.");
    token.set(t);
    text.value = "";
    done();
  });
}
