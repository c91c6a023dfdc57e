/** Call the API: JSON in and out, problem+json as `ApiError`, CSRF token, sign-in and retries. */

const OFFLINE = { code: "offline", detail: "Can’t reach the service. Check your connection." };
const session = { token: null, required: false, signIn: null };

/** An error response, or status 0 if there was no response. `message` is written for people. */
export class ApiError extends Error {
  constructor(status, problem = {}, retryAfter = 0) {
    super(problem.detail || "Unexpected response from the service. Try again.");
    const { code = "unknown", errors = [], field, number } = problem; // `field` and `number` name an image of the form
    Object.assign(this, { status, retryAfter, code, errors, field, number });
    this.retryable = status === 0 || status >= 500;
  }
}

/** Set the session. Called by session.js, which cannot be imported here: the import would be circular. */
export function setSession({ csrf_token, required }, signIn) {
  Object.assign(session, { token: csrf_token, required, signIn });
}

export const requiresKey = () => session.required;

/** Return the response's JSON, or null for 204. Retries network and server errors up to `tries` times. Throws ApiError. */
export async function call(path, options = {}) {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetchWithSession(path, options);
      return response.status === 204 ? null : await response.json();
    } catch (error) {
      if (!error.retryable || attempt >= (options.tries || 1)) throw error;
      await delay(error.retryAfter || 500 * 2 ** attempt, options.signal);
    }
  }
}

/** Return the response as a Blob. Throws ApiError. */
export async function fetchBlob(path, options = {}) {
  return (await fetchWithSession(path, options)).blob();
}

/** Return the response, also if it is an error. Throws ApiError only without a response. */
export async function requestResponse(path, options = {}) {
  try {
    return await fetchWithSession(path, options);
  } catch (error) {
    if (error.response) return error.response;
    throw error;
  }
}

/** Fetch `path`; once more after sign-in, or with a new CSRF token if the old one is stale. */
async function fetchWithSession(path, options) {
  const { token } = session;
  try {
    return await send(path, options);
  } catch (error) {
    if (error.status === 401 && session.signIn && path !== "/v1/session") await session.signIn();
    else if (error.code !== "csrf_failed" || (await refreshToken()) === token) throw error;
    return fetchWithSession(path, options);
  }
}

/** A sign-in in another tab makes this tab's token stale. */
async function refreshToken() {
  session.token = (await call("/v1/session")).csrf_token;
  return session.token;
}

async function send(path, { method = "GET", body, headers = {}, signal, cache }) {
  const allHeaders = { ...headers };
  if (session.token && method !== "GET") allHeaders["X-CSRF-Token"] = session.token;
  const response = await fetch(path, { method, body, headers: allHeaders, signal, cache }).catch((error) => {
    throw error.name === "AbortError" ? error : new ApiError(0, OFFLINE);
  });
  if (response.ok) return response;
  const problem = await response.clone().json().catch(() => ({}));
  const error = new ApiError(response.status, problem, 1000 * Number(response.headers.get("Retry-After") || 0));
  throw Object.assign(error, { response });
}

export function ignoreNotFound(error) {
  if (error.status !== 404) throw error;
}

const delay = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

/** Return 128 random bits as hex. `crypto.randomUUID` exists on HTTPS only. */
export const newIdempotencyKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
