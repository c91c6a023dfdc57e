/** The sign-in dialog; loaded only where the service asks for keys. */

import { call } from "./api.js";
import { $, h, tellIf } from "./dom.js";

/** Ask until a key is right; resolves with the session. */
export function ask() {
  const wrong = h("p.wrong", { id: "key-error", role: "alert", hidden: true });
  const secret = { type: "password", autocomplete: "current-password", required: true };
  const key = h("input", { id: "key", ...secret, "aria-describedby": "key-error" });
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
        const found = await enter(key.value);
        dialog.remove();
        offerSignOut();
        resolve(found);
      } catch (error) {
        tellIf(wrong, error.message);
        key.select();
      }
    });
  });
}

function enter(key) {
  const headers = { "Content-Type": "application/json" };
  return call("/v1/session", { method: "POST", body: JSON.stringify({ key }), headers });
}

export function offerSignOut() {
  if ($("#sign-out")) return;
  const wrong = h("p.wrong", { role: "alert", hidden: true });
  const still = (error) => tellIf(wrong, `You are still signed in. ${error.message}`);
  const leave = () => call("/v1/session", { method: "DELETE" }).then(() => location.reload(), still);
  $(".bar nav").append(h("button.quiet", { id: "sign-out", onclick: leave }, "Sign out"));
  $(".bar").append(wrong);
}
