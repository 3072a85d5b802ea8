// Asks the API of this very server. An error is a Problem whose message is the sentence that people read.

const KEY = "formcast-key";

export class Problem extends Error {
  constructor(message, status, code) {
    super(message);
    Object.assign(this, { status, code });
  }

  /** Whether another key could help. */
  get wantsKey() {
    return this.status === 401 || this.code === "no-scope";
  }
}

/** The key is kept in this tab alone. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The JSON that a path answers. With `body`, it is posted. Throws Problem, or an AbortError where `signal` says so. */
export async function ask(path, options = {}) {
  return (await answer(path, options)).json();
}

/** The answer itself, for what is no JSON. Throws as `ask` does. */
export async function answer(path, { body, signal } = {}) {
  const headers = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
  const request = { headers, signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    Object.assign(request, { method: "POST", body: JSON.stringify(body) });
    headers["Content-Type"] = "application/json";
  }
  const found = await fetch(path, request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer: it is stopped, or the network is.", 0, "no-answer");
  });
  if (!found.ok) throw await problemOf(found);
  return found;
}

async function problemOf(found) {
  const said = await found.json().catch(() => ({}));
  const sentence = said.detail || `The server answered ${found.status} ${found.statusText}.`;
  return new Problem(sentence, found.status, (said.type || "").split(":").pop());
}
