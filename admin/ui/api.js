// Asking the address that this page came from, and telling it to change things.

const patience = 5000; // milliseconds
const kept = "mqedge-token";

export const token = {
  get: () => sessionStorage.getItem(kept) || "",
  set: (t) => (t ? sessionStorage.setItem(kept, t) : sessionStorage.removeItem(kept)),
};

// Refused is an answer that is an error; problems are its details.
export class Refused extends Error {
  constructor(status, message, problems) {
    super(message);
    this.status = status;
    this.problems = problems || [];
  }
}

async function call(method, path, headers = {}) {
  const answer = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(patience), redirect: "error" });
  let body;
  try {
    body = await answer.json();
  } catch {
    throw new Refused(answer.status, `the answer (${answer.status}) is not mqedge's`);
  }
  if (!answer.ok) throw new Refused(answer.status, body.error || `it answered ${answer.status}`, body.problems);
  return body;
}

export const get = (path) => call("GET", path);

function authorization() {
  const t = token.get();
  return t ? { Authorization: "Bearer " + t } : {};
}

// access says whether changing calls are allowed, with the token there is.
export const access = (t) => call("GET", "api/v1/access", t == null ? authorization() : { Authorization: "Bearer " + t });

export const post = (path) => call("POST", path, authorization());

export function endpointPath(upstream, address, action) {
  return `api/v1/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(address)}/${action}`;
}
