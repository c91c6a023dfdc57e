/** Sign-in state. Every page starts with `startPage`. */

import { call, setSession } from "./api.js";
import { $, h } from "./dom.js";

let signingIn = null;

/** Run `start` once this browser may call the API, and show on the page why if it may not. */
export function startPage(start) {
  document.body.append(h("footer.page-bar", {}, h("a.muted", { href: "/docs" }, "API reference")));
  openSession().then(start).catch((error) => $("#main").append(h("p.error", { role: "alert" }, error.message)));
}

/** Resolve once this browser may call the API: immediately if no key is required. */
export async function openSession() {
  const session = await loadSession();
  if (session.required && !session.signed_in) await signInOnce();
  else if (session.required) (await import("./sign-in.js")).showSignOut();
}

/** Load whether a key is required, without asking for one. */
export async function loadSession() {
  const session = await call("/v1/session", { tries: 6 });
  setSession(session, signInOnce);
  return session;
}

/** Show one dialog, even if several calls are refused at the same time. */
function signInOnce() {
  signingIn ??= import("./sign-in.js")
    .then(({ askForKey }) => askForKey())
    .then((session) => setSession(session, signInOnce))
    .finally(() => (signingIn = null));
  return signingIn;
}
