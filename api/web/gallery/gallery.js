/** The gallery: ended jobs as a grid, newest first, loaded page by page. /gallery?job=ID opens one of them. */

import { call } from "../common/api.js";
import { $, h, setText, showText } from "../common/dom.js";
import { STATES, dateTime, recipeSummary } from "../common/format.js";
import { startPage } from "../common/session.js";
import { JobDetail } from "./job-detail.js";

const PAGE_SIZE = 24;
const results = $("#results");
const detail = new JobDetail($("#detail"), removeCard);
let stateFilter = "succeeded";
let cursor = null;
let latestRequest = null; // the response to an earlier request is dropped
let closedByRoute = false; // rather than by the user

async function loadPage() {
  const query = new URLSearchParams({ limit: PAGE_SIZE, ...(stateFilter && { state: stateFilter }), ...(cursor && { cursor }) });
  const request = (latestRequest = {});
  try {
    const page = await call(`/v1/jobs?${query}`, { tries: 4 });
    if (latestRequest === request) showPage(page);
  } catch (error) {
    if (latestRequest === request) showText($("#error"), error.message);
  }
}

function showPage({ jobs, next_cursor }) {
  results.append(...jobs.map(createCard));
  cursor = next_cursor;
  showText($("#error"), "");
  $("#show-more").hidden = !cursor;
  updateCount();
}

function updateCount() {
  setText($("#status"), `${results.children.length} shown`);
  $("#no-results").hidden = results.children.length > 0 || Boolean(cursor);
}

function createCard(job) {
  const summary = `${job.state === "succeeded" ? "" : `${STATES[job.state]} · `}${recipeSummary(job.recipe)}`;
  const image = h("img", { src: job.urls.preview || `${job.urls.content}?longest=512`, alt: "", loading: "lazy" });
  const open = () => (history.pushState("opened-here", "", `?job=${job.id}`), detail.open(job));
  return h("li", { "data-id": job.id },
    h("button", { type: "button", onclick: open }, image, h("span", {}, dateTime(job.created_at)), h("small.muted", {}, summary)));
}

function removeCard(id) {
  results.querySelector(`[data-id="${id}"]`)?.remove();
  updateCount();
}

function filterBy(state) {
  stateFilter = state;
  cursor = null;
  results.replaceChildren();
  $("#show-more").hidden = true;
  $("#show-finished").setAttribute("aria-pressed", String(Boolean(state)));
  $("#show-all").setAttribute("aria-pressed", String(!state));
  return loadPage();
}

const jobIdInUrl = () => new URLSearchParams(location.search).get("job");

/** Open the job that the URL names, or close the dialog. */
async function showRoute() {
  const id = jobIdInUrl();
  if (!id) return closeDetail();
  try {
    const job = await call(`/v1/jobs/${encodeURIComponent(id)}`, { tries: 4 });
    if (jobIdInUrl() === id) detail.open(job);
  } catch (error) {
    if (jobIdInUrl() === id) showText($("#error"), error.message);
  }
}

function closeDetail() {
  closedByRoute ||= $("#detail").open;
  $("#detail").close();
}

/**
 * After the user closed the dialog: go back if it was opened from the grid. A shared link has no page of ours behind it.
 * The browser sends "close" a moment after the dialog closed, when Back and Forward may have changed the URL again.
 */
function onDetailClosed() {
  if (closedByRoute) closedByRoute = false;
  else if (history.state === "opened-here") history.back();
  else history.replaceState(null, "", location.pathname);
}

$("#detail").addEventListener("close", onDetailClosed);
addEventListener("popstate", showRoute);
$("#show-more").addEventListener("click", loadPage);
$("#show-finished").addEventListener("click", () => filterBy("succeeded"));
$("#show-all").addEventListener("click", () => filterBy(""));
startPage(() => loadPage().then(showRoute));
