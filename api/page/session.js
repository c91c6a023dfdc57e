/** Signing in where the service asks for keys. Every page awaits `session()` before it asks for anything else. */

import { call, useSession } from "./api.js";
import { $, h, tellIf } from "./dom.js";

let asking = null;

/** Resolves once this browser may call: at once where no keys are asked for. */
export async function session() {
  const found = await call("/v1/session", { tries: 6 });
  useSession(found, askOnce);
  if (found.required && !found.signed_in) await askOnce();
  else if (found.required) offerSignOut();
}

/** One dialog, however many calls were refused at the same time. */
function askOnce() {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

function ask() {
  const wrong = h("p.wrong", { id: "key-error", hidden: true });
  const key = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true, "aria-describedby": "key-error" });
  const form = h("form", {}, h("h2", { id: "sign-in" }, "Sign in"),
    h("p.soft", {}, "This service asks for a key. Whoever runs it can give you one."),
    h("label", { for: "key" }, "Key"), key, wrong, h("button.primary.wide", {}, "Sign in"));
  const dialog = h("dialog.narrow", { "aria-labelledby": "sign-in", oncancel: (event) => event.preventDefault() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        useSession(await enter(key.value), askOnce);
      } catch (error) {
        tellIf(wrong, error.message);
        return key.select();
      }
      dialog.close();
      dialog.remove();
      offerSignOut();
      resolve();
    });
  });
}

function enter(key) {
  return call("/v1/session", { method: "POST", body: JSON.stringify({ key }), headers: { "Content-Type": "application/json" } });
}

function offerSignOut() {
  if ($("#sign-out")) return;
  const leave = () => call("/v1/session", { method: "DELETE" }).finally(() => location.reload());
  $(".bar nav").append(h("button.quiet", { id: "sign-out", onclick: leave }, "Sign out"));
}
