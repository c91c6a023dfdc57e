/**
 * The gallery: ended jobs as a grid, newest first, loaded page by page. /gallery?job=ID opens one of them.
 * /gallery?batch=ID shows all jobs of a batch, which change while it runs.
 */

import { call, ignoreNotFound } from "../common/api.js";
import { $, h, setText, showText, updateList } from "../common/dom.js";
import { dateTime, jobName, stateName, words } from "../common/format.js";
import { createThumbnail, reloadImage, thumbnailUrl } from "../common/job-images.js";
import { caption } from "../common/recipe-changes.js";
import { startPage } from "../common/session.js";
import { createStar, favorites, forget } from "./favorites.js";
import { JobDetail } from "./job-detail.js";
import { Selection } from "./selection.js";

const urlQuery = () => new URLSearchParams(location.search);
const batchId = urlQuery().get("batch");
const PAGE_SIZE = batchId ? 200 : 24; // a batch has at most 200 jobs
const VIEWS = { succeeded: "Images", "": "All jobs", failed: "Failed", canceled: "Canceled", ...(!batchId && { favorites: "Favorites" }) };
const FAVORITES_HELP = "Favorites are kept in this browser.";
const results = $("#results");
const detail = new JobDetail($("#detail"), removeCard);
const selection = new Selection($("#selection"), removeCard, compare);
const DEFAULT_VIEW = batchId ? "" : "succeeded";
let view = DEFAULT_VIEW;
let batch; // its header
let jobs = []; // what is loaded, newest first; a batch is shown in the order of its submission
let presets = {};
let cursor = null;
let appliedLabel = null; // of the search, in what is loaded
let latestRequest = null; // the response to an earlier request is dropped
let closedByRoute = false; // rather than by the user

/** "order=6735" asks the service for a label; other words filter what is loaded. */
const labelInSearch = () => $("#search").value.match(/^\s*([^=\s]+)=(.+?)\s*$/);

function query() {
  const label = (appliedLabel = labelInSearch());
  return new URLSearchParams({
    limit: PAGE_SIZE,
    ...(batchId && { batch: batchId }),
    ...(view && { state: view }),
    ...($("#preset").value && { preset: $("#preset").value }),
    ...(label && { [`metadata[${label[1]}]`]: label[2] }),
    ...(cursor && { cursor }),
  });
}

async function loadPage() {
  const request = (latestRequest = {});
  try {
    const page = view === "favorites" ? await loadFavorites() : await call(`/v1/jobs?${query()}`, { tries: 4 });
    if (latestRequest === request) showPage(page);
  } catch (error) {
    if (latestRequest === request) showText($("#error"), error.message);
  }
}

/** Load a page of the favorite jobs; its cursor is the IDs of the others. Those that are not found may be another tenant's. */
async function loadFavorites() {
  const ids = cursor ?? favorites();
  const load = (id) => call(`/v1/jobs/${id}`, { tries: 4 }).catch(ignoreNotFound);
  const found = (await Promise.all(ids.slice(0, PAGE_SIZE).map(load))).filter(Boolean);
  const others = ids.slice(PAGE_SIZE);
  return { jobs: found.filter(({ recipe }) => !$("#preset").value || recipe.preset === $("#preset").value), next_cursor: others.length ? others : null };
}

function showPage({ jobs: loaded, next_cursor }) {
  showJobs(cursor ? [...jobs, ...loaded] : loaded);
  cursor = next_cursor;
  showText($("#error"), "");
  $("#show-more").hidden = !cursor;
  filterCards();
  if (!loaded.length && cursor) loadPage(); // a page of a filtered list may be empty
}

function showJobs(list) {
  jobs = list;
  updateList(results, batchId ? [...jobs].reverse() : jobs, (job) => job.id, createCard, updateCard);
  selection.render();
}

/** Hide the cards whose captions lack a word of the search. They are no longer selected: what is hidden is not deleted. */
function filterCards() {
  const searched = labelInSearch() ? [] : $("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of results.children) {
    card.hidden = !searched.every((word) => card.dataset.text.includes(word));
    if (card.hidden) selection.deselect(card.dataset.id);
  }
  const help = searched.length && cursor ? "Only loaded jobs are searched. Show more loads others." : view === "favorites" ? FAVORITES_HELP : "";
  setText($("#search-help"), help);
  updateCount();
}

function updateCount() {
  const shown = [...results.children].filter((card) => !card.hidden).length;
  setText($("#status"), `${shown} shown`);
  const isFiltered = view !== DEFAULT_VIEW || $("#preset").value || $("#search").value.trim();
  const isEmpty = !shown && !cursor && $("#error").hidden;
  $("#no-results").hidden = !isEmpty || isFiltered;
  $("#no-matches").hidden = !isEmpty || !isFiltered;
}

function createCard(job) {
  const { id, metadata: { title, ...others } } = job;
  const labels = Object.entries(others).map(([name, value]) => `${name}=${value}`).join(" ");
  const date = dateTime(job.created_at);
  const card = { image: createThumbnail({ alt: "" }), summary: h("small.muted"), text: `${title ?? ""} ${labels} ${date} ${id}`, onRemove: () => selection.deselect(id) };
  const open = () => (history.pushState("opened-here", "", pageUrl({ job: id })), detail.open(card.job, presets));
  card.node = h("li", { "data-id": id },
    h("button.open", { type: "button", onclick: open }, card.image, h("b", {}, title || date), title && h("small.muted", {}, date), card.summary, labels && h("small.muted", {}, labels)),
    selection.createCheckbox(id, card, jobName(job)), createStar(id));
  return card;
}

function updateCard(card, job) {
  const isNew = !card.job;
  const isUnchanged = !isNew && stateName(card.job) === stateName(job);
  card.job = job;
  if (isUnchanged) return;
  if (isNew || !job.urls.preview) card.image.src = thumbnailUrl(job, 512);
  else reloadImage(card.image, job.urls.preview);
  const state = job.state === "succeeded" ? "" : `${stateName(job)} · `;
  setText(card.summary, `${state}${caption(job.recipe, presets)}`);
  card.node.dataset.text = `${card.text} ${card.summary.textContent}`.toLowerCase();
}

function removeCard(id) {
  showJobs(jobs.filter((job) => job.id !== id));
  forget(id);
  updateCount();
  batch?.refreshIn(0); // once for all that are deleted now: another number of jobs, another contact sheet
}

async function compare(jobs) {
  const { showComparison } = await import("./compare.js");
  showComparison($("#detail"), jobs);
  closedByRoute = true; // its URL is that of the gallery
}

/** Load the list again, with the current filters. */
function reload() {
  cursor = null;
  selection.clear();
  showJobs([]);
  $("#show-more").hidden = $("#no-results").hidden = $("#no-matches").hidden = true;
  for (const button of $("#views").children) button.setAttribute("aria-pressed", String(button.value === view));
  return loadPage();
}

const jobIdInUrl = () => urlQuery().get("job");

/** Return the URL of this page, with a job or without. */
function pageUrl(job) {
  const query = String(new URLSearchParams({ ...(batchId && { batch: batchId }), ...job }));
  return query ? `?${query}` : location.pathname;
}

/** Open the job that the URL names, or close the dialog. */
async function showRoute() {
  const id = jobIdInUrl();
  if (!id) return closeDetail();
  try {
    const job = await call(`/v1/jobs/${encodeURIComponent(id)}`, { tries: 4 });
    if (jobIdInUrl() === id) detail.open(job, presets);
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
  else history.replaceState(null, "", pageUrl());
}

/** Show the header of the batch that the URL names. Returns whether that batch exists. */
async function showBatch() {
  const { BatchHeader } = await import("./batch-header.js");
  batch = new BatchHeader($("#batch"), batchId, { onChange: loadAgain, onMissing });
  return batch.refresh();

  function loadAgain() {
    cursor = null;
    loadPage();
  }

  function onMissing() {
    latestRequest = null;
    showJobs([]);
    $("#filters").hidden = $("#show-more").hidden = $("#no-matches").hidden = true;
  }
}

async function start() {
  const createView = ([value, name]) => h("button", { type: "button", value, onclick: () => ((view = value), reload()) }, name);
  $("#views").append(...Object.entries(VIEWS).map(createView));
  ({ presets } = await call("/v1/recipes", { tries: 4 }).catch(() => ({ presets: {} })));
  $("#preset").append(...Object.keys(presets).map((name) => h("option", { value: name }, words(name))));
  if (batchId && !(await showBatch())) return;
  await reload();
  await showRoute();
}

$("#detail").addEventListener("close", onDetailClosed);
$("#detail").addEventListener("click", ({ target }) => target === $("#detail") && target.close());
$("#filters").addEventListener("submit", (event) => event.preventDefault());
$("#preset").addEventListener("change", reload);
$("#search").addEventListener("input", filterCards);
$("#search").addEventListener("change", () => (labelInSearch() || appliedLabel ? reload() : filterCards()));
addEventListener("popstate", showRoute);
$("#show-more").addEventListener("click", loadPage);
startPage(start);
