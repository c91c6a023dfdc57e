/** The sign-in dialog and the sign-out button. Loaded only if the service requires an API key. */

import { call } from "./api.js";
import { $, h, showText } from "./dom.js";

/** Show the dialog until a key is accepted. Resolves with the session. */
export function askForKey() {
  const error = h("p.error", { id: "key-error", role: "alert", hidden: true });
  const password = { type: "password", autocomplete: "current-password", required: true };
  const key = h("input", { id: "key", ...password, "aria-describedby": "key-error" });
  const form = h("form", {}, h("h2", { id: "sign-in" }, "Sign in"),
    h("p.muted", {}, "This service requires an API key. Ask its operator for one."),
    h("label", { for: "key" }, "API key"), key, error, h("button.primary.wide", {}, "Sign in"));
  const dialog = h("dialog.narrow", { "aria-labelledby": "sign-in", oncancel: (event) => event.preventDefault() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const session = await signIn(key.value);
        dialog.remove();
        showSignOut();
        resolve(session);
      } catch ({ message }) {
        showText(error, message);
        key.select();
      }
    });
  });
}

function signIn(key) {
  const headers = { "Content-Type": "application/json" };
  return call("/v1/session", { method: "POST", body: JSON.stringify({ key }), headers });
}

export function showSignOut() {
  if ($("#sign-out")) return;
  const error = h("p.error", { role: "alert", hidden: true });
  const onFailure = ({ message }) => showText(error, `You are still signed in. ${message}`);
  const signOut = () => call("/v1/session", { method: "DELETE" }).then(() => location.reload(), onFailure);
  $(".page-bar nav").append(h("button.quiet", { id: "sign-out", onclick: signOut }, "Sign out"));
  $(".page-bar").append(error);
}
