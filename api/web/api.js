/** Calls to the API: JSON in and out, problems as errors with words for people, CSRF token and sign-in. */

const OFFLINE = { code: "offline", detail: "The service cannot be reached; is the network there?" };
const session = { token: null, required: false, signIn: null };

/** What the API, or the want of a network, has to say. */
export class Problem extends Error {
  constructor(status, said = {}, wait = 0) {
    super(said.detail || "The service answered in a way that this page does not understand; try again.");
    Object.assign(this, { status, wait, code: said.code || "unknown", errors: said.errors || [], said });
    this.retryable = status === 0 || status >= 500;
  }
}

/** Called by session.js, which would else be imported in a circle. */
export function useSession(found, signIn) {
  Object.assign(session, { token: found.csrf_token, required: found.required, signIn });
}

export const asksForKeys = () => session.required;

/** The answer's JSON; null for none. Tries again where nothing arrived or a part is away. Raises Problem. */
export async function call(path, options = {}) {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetched(path, options);
      return answer.status === 204 ? null : await answer.json();
    } catch (error) {
      if (!error.retryable || attempt >= (options.tries || 1)) throw error;
      await pause(error.wait || 500 * 2 ** attempt, options.signal);
    }
  }
}

/** The answer as a Blob. Raises Problem. */
export async function blob(path, options = {}) {
  return (await fetched(path, options)).blob();
}

/** The answer, if need be to the same call once more, when the visitor has signed in or the token is one of now. */
async function fetched(path, options) {
  const { token } = session;
  try {
    return await sent(path, options);
  } catch (problem) {
    if (problem.status === 401 && session.signIn && path !== "/v1/session") await session.signIn();
    else if (problem.code !== "csrf_failed" || (await tokenOfNow()) === token) throw problem;
    return fetched(path, options);
  }
}

/** Another tab that signed in has made the token of this one stale. */
async function tokenOfNow() {
  session.token = (await call("/v1/session")).csrf_token;
  return session.token;
}

async function sent(path, { method = "GET", body, headers = {}, signal, cache }) {
  const told = { ...headers };
  if (session.token && method !== "GET") told["X-CSRF-Token"] = session.token;
  const answer = await fetch(path, { method, body, headers: told, signal, cache }).catch((error) => {
    throw error.name === "AbortError" ? error : new Problem(0, OFFLINE);
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, said, 1000 * Number(answer.headers.get("Retry-After") || 0));
}

export const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

/** 128 random bits; `crypto.randomUUID` is there on HTTPS only. */
export const freshKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
