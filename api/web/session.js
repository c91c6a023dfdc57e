/** Every page enters by `enter()` before it asks for anything else. */

import { call, useSession } from "./api.js";
import { $, h } from "./dom.js";

let asking = null;

/** Begin `work` once this browser may call; what is in the way of it is said on the page. */
export function enter(work) {
  document.body.append(h("footer.bar", {}, h("a.soft", { href: "/docs" }, "All calls of the API")));
  session().then(work).catch((error) => $("#main").append(h("p.wrong", { role: "alert" }, error.message)));
}

/** Resolves once this browser may call: at once where no keys are asked for. */
async function session() {
  const found = await call("/v1/session", { tries: 6 });
  useSession(found, askOnce);
  if (found.required && !found.signed_in) await askOnce();
  else if (found.required) (await import("./signin.js")).offerSignOut();
}

/** One dialog, however many calls were refused at the same time. */
function askOnce() {
  asking ??= import("./signin.js").then(({ ask }) => ask()).then((found) => useSession(found, askOnce)).finally(() => (asking = null));
  return asking;
}
