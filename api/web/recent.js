/** The last few jobs as a strip of thumbnails. */

import { blob, call } from "./api.js";
import { $, h, keyed, tell } from "./dom.js";
import { STATES, when } from "./format.js";

const FEW = 8;
let asked = 0;

export async function showRecent(section, current) {
  const mine = ++asked;
  const found = await call(`/v1/jobs?limit=${FEW}`).catch(() => null);
  if (!found || mine !== asked) return; // what stands there is better, or a later answer is
  section.hidden = !found.jobs.length;
  keyed($("ul", section), found.jobs, (job) => job.id, tile, (part, job) => update(part, job, job.id === current));
}

function tile({ id }) {
  const image = h("img", { width: 96, height: 96, loading: "lazy" });
  const state = h("small.soft", { "aria-hidden": "true" });
  const link = h("a", { href: `/?job=${id}` }, image, state);
  return { node: h("li", {}, link), link, image, state };
}

function update(part, { state, urls, created_at }, here) {
  const { link, image } = part;
  if (here) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  const said = STATES[state];
  if (part.state.textContent === said) return;
  if (part.state.textContent && urls.preview) renew(image, urls.preview);
  else image.src = urls.preview || `${urls.content}?longest=128`;
  image.alt = `${said}, ${when(created_at)}`;
  tell(part.state, said);
}

/** The address stays while its picture changes. */
async function renew(image, url) {
  const data = await blob(url, { cache: "no-cache" }).catch(() => null);
  if (!data) return;
  image.onload = () => URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(data);
}
