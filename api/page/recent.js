/** The last few jobs as a strip of thumbnails. */

import { call } from "./api.js";
import { $, h } from "./dom.js";
import { STATES, when } from "./format.js";

const FEW = 8;

export async function showRecent(section, current) {
  const { jobs } = await call(`/v1/jobs?limit=${FEW}`).catch(() => ({ jobs: [] }));
  section.hidden = !jobs.length;
  $("ul", section).replaceChildren(...jobs.map((job) => tile(job, job.id === current)));
}

function tile(job, here) {
  const picture = job.urls.preview || `${job.urls.content}?longest=128`;
  return h("li", {}, h("a", { href: `/?job=${job.id}`, "aria-current": here && "true" },
    h("img", { src: picture, alt: `${STATES[job.state]}, ${when(job.created_at)}`, width: 96, height: 96, loading: "lazy" }),
    h("small.soft", { "aria-hidden": "true" }, STATES[job.state])));
}
