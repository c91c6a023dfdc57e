/** The queue: one event stream for the whole page; the queued jobs of a tier in pages of fifty. */

import { call, fetchBlob } from "../common/api.js";
import { askFirst } from "../common/confirm-button.js";
import { requestControl } from "../common/control-requests.js";
import { $, all, h, setText, showText, updateList } from "../common/dom.js";
import { STATUS_TEXTS, subscribe } from "../common/event-stream.js";
import { duration, etaRange, jobLabel, percent, recipeSummary, secondsSince, tierName, time } from "../common/format.js";
import { startPage } from "../common/session.js";
import { createTier, createWorker, renderThroughput, updateTier, updateWorker } from "./overview.js";

const PAGE_SIZE = 50;
const MIN_INTERVAL = 2000; // milliseconds between requests for the page, and for one job's preview
const REQUEST_TIMEOUT = 10_000; // milliseconds; a request for the page without a response must not stop its updates
const ERROR_MILLISECONDS = 20_000; // for how long a refused request is shown
const connectionErrors = { stream: "", page: "" };
let queue = null;
let tier = null;
let offset = 0;
let pageRequest = null; // the latest request for the page, until MIN_INTERVAL after its response
let isPageStale = false; // the queue has changed since

function show(newQueue) {
  queue = newQueue;
  tier ??= (queue.tiers.find((item) => item.default) ?? queue.tiers[0])?.name;
  updateList($("#tiers"), queue.tiers, (item) => item.name, createTier, (entry, item) => updateTier(entry, item, queue.tiers.indexOf(item), queue.tiers.length));
  updateList($("#running"), queue.running, (job) => job.id, createRunningJob, updateRunningJob);
  updateList($("#workers"), queue.workers, (item) => item.name, createWorker, (entry, item) => updateWorker(entry, item, queue.running.find(({ id }) => id === item.job)));
  $("#no-running").hidden = queue.running.length > 0;
  $("#no-workers").hidden = queue.workers.length > 0;
  renderTabs();
  renderThroughput($("#throughput"), queue);
  renderAges();
  if (pageRequest) isPageStale = true;
  else loadPage();
}

/** Ages grow between two events. */
function renderAges() {
  for (const { age, oldestAt } of $("#tiers").entries?.values() || []) {
    setText(age, oldestAt ? `Oldest waiting for ${duration((Date.now() - oldestAt) / 1000)}` : "");
  }
  for (const cell of all("[data-since]")) setText(cell, duration(secondsSince(cell.dataset.since)));
}

function createRunningJob(job) {
  const image = h("img", { alt: `Preview of job ${jobLabel(job)}` });
  const bar = h("progress", { max: 100, "aria-label": `Progress of job ${jobLabel(job)}` });
  const [facts, worker, silence] = [h("p"), h("p.muted"), h("p.error", { hidden: true })];
  const link = h("a", { href: `/?job=${job.id}` }, image);
  const node = h("li.panel", {}, link, h("b", {}, jobLabel(job)), bar, facts, worker, silence, createCancelButton(job));
  return { node, image, bar, facts, worker, silence, previewAt: 0, onRemove: () => releaseUrl(image) };
}

function updateRunningJob(entry, job) {
  const { progress, urls } = job;
  entry.bar.value = progress.percentage;
  setText(entry.facts, [percent(progress.percentage), job.eta_seconds && `ready in ${etaRange(job.eta_seconds)}`].filter(Boolean).join(" · "));
  setText(entry.worker, `On ${job.worker}`);
  showText(entry.silence, job.worker_silent_since ? `The worker has not answered since ${time(job.worker_silent_since)}.` : "");
  updateCancelButton($("button", entry.node), job);
  const interval = MIN_INTERVAL * Math.max(1, queue.running.length / 4);
  if (urls.preview && entry.previewStep !== progress.current && Date.now() - entry.previewAt > interval) {
    Object.assign(entry, { previewStep: progress.current, previewAt: Date.now() });
    reloadPreview(entry.image, urls.preview);
  } else if (!entry.previewStep && !entry.image.src) entry.image.src = `${urls.content}?longest=512`;
}

/** Load a preview again; its URL stays the same while its content changes. */
async function reloadPreview(image, url) {
  const data = await fetchBlob(url, { cache: "no-cache" }).catch(() => null);
  if (!data || !image.isConnected) return;
  releaseUrl(image);
  image.src = URL.createObjectURL(data);
}

function releaseUrl(image) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}

function createCancelButton(job) {
  const button = h("button.small", { type: "button", "aria-label": `Cancel job ${jobLabel(job)}` }, "Cancel");
  return askFirst(button, "Really cancel?", cancel);
  async function cancel() {
    button.disabled = true;
    showError("");
    try {
      updateCancelButton(button, await requestControl(`/v1/jobs/${job.id}`, "cancel"));
    } catch (error) {
      showError(error.message);
    }
    loadPage();
  }
}

function updateCancelButton(button, job) {
  button.disabled = Boolean(job.cancel_requested_at) || !job.urls.cancel;
  if (!button.isAsking) setText(button, job.cancel_requested_at ? "Canceling…" : "Cancel");
}

function renderTabs() {
  const create = ({ name }) => ({ node: h("button", { type: "button", onclick: () => selectTier(name) }, tierName(name)) });
  const update = ({ node }, { name }) => node.setAttribute("aria-pressed", String(name === tier));
  updateList($("#tier-tabs"), queue.tiers, (item) => item.name, create, update);
}

function selectTier(name) {
  tier = name;
  offset = 0;
  renderTabs();
  renderRows([]);
  $("#no-queued").hidden = true; // not known before the response
  loadPage();
}

/** Load the visible page of queued jobs. The response to an earlier request is dropped: it may be of another page. */
async function loadPage() {
  if (!tier) return;
  const request = (pageRequest = {});
  isPageStale = false;
  try {
    const path = `/v1/queue/${encodeURIComponent(tier)}/jobs?offset=${offset}&limit=${PAGE_SIZE}`;
    const page = await call(path, { signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
    if (pageRequest !== request) return;
    showConnection({ page: "" });
    renderPage(page);
  } catch (error) {
    if (pageRequest !== request) return;
    isPageStale = true; // try again
    showConnection({ page: error.message });
  }
  setTimeout(() => pageRequest === request && finishRequest(), MIN_INTERVAL);
}

function finishRequest() {
  pageRequest = null;
  if (isPageStale) loadPage();
}

function renderPage({ jobs, total }) {
  if (offset && !jobs.length) return movePage(Math.min(-PAGE_SIZE, PAGE_SIZE * Math.floor((total - 1) / PAGE_SIZE) - offset)); // to the last page
  renderRows(jobs);
  $("#queued").hidden = !jobs.length;
  $("#no-queued").hidden = jobs.length > 0;
  $("#pager").hidden = total <= PAGE_SIZE;
  setText($("#page-range"), `${offset + 1}–${offset + jobs.length} of ${total.toLocaleString("en")}`);
  $("#previous").disabled = !offset;
  $("#next").disabled = offset + PAGE_SIZE >= total;
}

function movePage(by) {
  offset = Math.max(0, offset + by);
  loadPage();
}

function renderRows(jobs) {
  updateList($("#queued tbody"), jobs, (job) => job.id, createRow, ({ position, readyIn, node }, job) => {
    setText(position, String(job.queue_position ?? "–"));
    setText(readyIn, etaRange(job.eta_seconds));
    updateCancelButton($("button", node), job);
  });
}

function createRow(job) {
  const [position, readyIn] = [h("td"), h("td")];
  const node = h("tr", {},
    position,
    h("td", {}, h("a", { href: `/?job=${job.id}` }, jobLabel(job))),
    h("td", {}, recipeSummary(job.recipe)),
    h("td", { "data-since": job.created_at }, duration(secondsSince(job.created_at))),
    readyIn,
    h("td", {}, createCancelButton(job)));
  return { node, position, readyIn };
}

function showConnection(errors) {
  Object.assign(connectionErrors, errors);
  setText($("#connection"), Object.values(connectionErrors).filter(Boolean).join(" "));
}

/** Show why a request was refused, for a while or until the next request; updates of the queue do not clear it. */
function showError(text) {
  showText($("#error"), text);
  clearTimeout(showError.timer);
  showError.timer = setTimeout(showText, ERROR_MILLISECONDS, $("#error"), "");
}

$("#previous").addEventListener("click", () => movePage(-PAGE_SIZE));
$("#next").addEventListener("click", () => movePage(PAGE_SIZE));
startPage(() => {
  subscribe("/v1/queue/events", ["queue"], {
    onEvent: (_, data) => show(data),
    onStatus: (status) => showConnection({ stream: STATUS_TEXTS[status] }),
    onRefused: () => call("/v1/queue").then(show, (error) => showConnection({ page: error.message })),
  });
  setInterval(renderAges, 1000);
});
