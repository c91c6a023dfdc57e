/** The most recent jobs as a row of thumbnails. */

import { call } from "../common/api.js";
import { $, h, setText, updateList } from "../common/dom.js";
import { jobName, stateName } from "../common/format.js";
import { createThumbnail, reloadImage, thumbnailUrl } from "../common/job-images.js";

const LIMIT = 8;
let latestRequest = 0;

export async function showRecent(section, currentId) {
  const request = ++latestRequest;
  const page = await call(`/v1/jobs?limit=${LIMIT}`).catch(() => null);
  if (!page || request !== latestRequest) return; // keep what is shown, or wait for the newer response
  section.hidden = !page.jobs.length;
  updateList($("ul", section), page.jobs, (job) => job.id, createTile, (tile, job) => updateTile(tile, job, job.id === currentId));
}

function createTile({ id }) {
  const image = createThumbnail({ width: 96, height: 96 });
  const state = h("small.muted", { "aria-hidden": "true" });
  const link = h("a", { href: `/?job=${id}` }, image, state);
  return { node: h("li", {}, link), link, image, state };
}

function updateTile({ link, image, state: label }, job, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  const name = stateName(job);
  if (label.textContent === name) return;
  if (label.textContent && job.urls.preview) reloadImage(image, job.urls.preview);
  else image.src = thumbnailUrl(job, 128);
  image.alt = `${name}, ${jobName(job)}`;
  setText(label, name);
}
