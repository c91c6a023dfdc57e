/** The queue: one stream for the whole page; the waiting lines by pages of fifty. */

import { blob, call } from "./api.js";
import { $, h, keyed, tell, tellIf } from "./dom.js";
import { WORDS, follow } from "./events.js";
import { bytes, clock, duration, eta, number, plural, recipeLine, seconds, short, span } from "./format.js";
import { enter } from "./session.js";
import { wished } from "./wish.js";

const PAGE = 50;
const CALM = 2000; // milliseconds between looks at a line or at one job's preview, at least
const READ = 20_000; // milliseconds that a refusal stands there
const said = { stream: "", look: "" }; // of the connection
let queue = null;
let tier = null;
let offset = 0;
let looking = null; // the newest look at the line, until a moment after its answer
let missed = false; // a change meanwhile

function show(found) {
  queue = found;
  tier ??= found.tiers[0]?.name;
  const name = (one) => one.name;
  keyed($("#tiers"), found.tiers, name, tile, ({ parts }, one) => {
    tell(parts.depth, one.depth.toLocaleString("en"));
    parts.oldest = one.oldest_seconds === null ? null : Date.now() - 1000 * one.oldest_seconds;
    tell(parts.eta, one.eta_seconds ? `A new job of the default recipe: ${eta(one.eta_seconds)}` : "");
  });
  keyed($("#running"), found.running, (job) => job.id, run, updateRun);
  keyed($("#workers"), found.workers, name, person, updatePerson);
  $("#idle").hidden = found.running.length > 0;
  $("#nobody").hidden = found.workers.length > 0;
  lines();
  hour(found);
  tick();
  if (looking) missed = true;
  else look();
}

/** Ages go on between two events. */
function tick() {
  for (const { parts } of $("#tiers").known?.values() || []) {
    tell(parts.age, parts.oldest ? `The first has waited ${duration((Date.now() - parts.oldest) / 1000)}` : "Nobody waits");
  }
  for (const cell of document.querySelectorAll("[data-since]")) tell(cell, duration(seconds(cell.dataset.since)));
}

function tile(one) {
  const parts = { depth: h("b"), age: h("span.soft"), eta: h("span.soft") };
  return { node: h("li.panel", {}, h("h2", {}, one.name), h("p.big", {}, parts.depth, " waiting"), parts.age, parts.eta), parts };
}

function run(job) {
  const image = h("img", { alt: `Preview of job ${short(job.id)}` });
  const bar = h("progress", { max: 100, "aria-label": `Progress of job ${short(job.id)}` });
  const parts = { image, bar, facts: h("p"), left: h("p.soft") };
  const link = h("a", { href: `/?job=${job.id}` }, image);
  const node = h("li.panel", {}, link, bar, parts.facts, parts.left, canceler(job));
  return { node, parts, at: 0, leave: () => forget(image) };
}

function updateRun(part, job) {
  const { progress, metrics } = job;
  part.parts.bar.value = progress.percentage;
  const speed = metrics.steps_per_second ? `, ${number(metrics.steps_per_second)}/s` : "";
  tell(part.parts.facts, `${Math.floor(progress.percentage)} % · step ${progress.current} of ${progress.total}${speed}`);
  tell(part.parts.left, [job.worker, job.eta_seconds && `${span(job.eta_seconds)} left`].filter(Boolean).join(" · "));
  settle($("button", part.node), job);
  const calm = CALM * Math.max(1, queue.running.length / 4);
  if (job.urls.preview && part.step !== progress.current && Date.now() - part.at > calm) {
    Object.assign(part, { step: progress.current, at: Date.now() });
    refresh(part.parts.image, job.urls.preview);
  } else if (!part.step && !part.parts.image.src) part.parts.image.src = `${job.urls.content}?longest=512`;
}

/** The address stays while its picture changes. */
async function refresh(image, url) {
  const data = await blob(url, { cache: "no-cache" }).catch(() => null);
  if (!data || !image.isConnected) return;
  forget(image);
  image.src = URL.createObjectURL(data);
}

function forget(image) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}

function canceler(job) {
  const button = h("button.small", { type: "button", "aria-label": `Cancel job ${short(job.id)}`, onclick: act }, "Cancel");
  return button;
  async function act() {
    button.disabled = true;
    refused("");
    try {
      settle(button, await wished("cancel", `/v1/jobs/${job.id}`));
    } catch (error) {
      refused(error.message);
    }
    look();
  }
}

function settle(button, job) {
  button.disabled = Boolean(job.cancel_requested_at) || !job.urls.cancel;
  tell(button, job.cancel_requested_at ? "Canceling …" : "Cancel");
}

/** The buttons that choose a line. */
function lines() {
  const make = ({ name }) => ({ node: h("button", { type: "button", onclick: () => choose(name) }, name) });
  const press = ({ node }, { name }) => node.setAttribute("aria-pressed", String(name === tier));
  keyed($("#lines"), queue.tiers, (one) => one.name, make, press);
}

function choose(name) {
  tier = name;
  offset = 0;
  lines();
  rows([]);
  $("#none").hidden = true; // nobody knows yet
  look();
}

/** Fetch the page of the line that is shown. The answer to an earlier look is of another page, and is dropped. */
async function look() {
  if (!tier) return;
  const mine = (looking = {});
  missed = false;
  try {
    const found = await call(`/v1/queue/${encodeURIComponent(tier)}/jobs?offset=${offset}&limit=${PAGE}`);
    if (looking !== mine) return;
    connection({ look: "" });
    fill(found);
  } catch (error) {
    if (looking === mine) unseen(error);
  }
  setTimeout(() => looking === mine && rested(), CALM);
}

function rested() {
  looking = null;
  if (missed) look();
}

function fill({ jobs, total }) {
  if (offset && !jobs.length) return turn(Math.min(-PAGE, PAGE * Math.floor((total - 1) / PAGE) - offset)); // to the last page of now
  rows(jobs);
  $("#waiting").hidden = !jobs.length;
  $("#none").hidden = jobs.length > 0;
  $("#pager").hidden = total <= PAGE;
  tell($("#place"), `${offset + 1} to ${offset + jobs.length} of ${total.toLocaleString("en")}`);
  $("#earlier").disabled = !offset;
  $("#later").disabled = offset + PAGE >= total;
}

function rows(jobs) {
  keyed($("#waiting tbody"), jobs, (job) => job.id, row, ({ cells, node }, job) => {
    tell(cells[0], String(job.queue_position ?? "–"));
    tell(cells[1], span(job.eta_seconds));
    settle($("button", node), job);
  });
}

function row(job) {
  const cells = [h("td"), h("td")];
  const node = h("tr", {},
    cells[0],
    h("td", {}, h("a", { href: `/?job=${job.id}` }, short(job.id))),
    h("td", {}, recipeLine(job.recipe)),
    h("td", { "data-since": job.created_at }, duration(seconds(job.created_at))),
    cells[1],
    h("td", {}, canceler(job)));
  return { node, cells };
}

function person() {
  const parts = { name: h("b"), doing: h("span"), facts: h("span.soft") };
  return { node: h("li.person", {}, parts.name, parts.doing, parts.facts), parts };
}

function updatePerson({ parts }, worker) {
  tell(parts.name, worker.name);
  parts.doing.replaceChildren(worker.job ? h("a", { href: `/?job=${worker.job}` }, `paints ${short(worker.job)}`) : "idle");
  const speed = worker.pixels_per_second && `${number(worker.pixels_per_second / 1e6)} Mpx/s`;
  const memory = worker.memory_bytes && `${bytes(worker.memory_bytes)}${worker.memory_kind === "gpu" ? " of GPU memory" : ""}`;
  tell(parts.facts, [worker.device, memory, speed, worker.weights].filter(Boolean).join(" · "));
}

/** Twelve bars of five minutes. */
function hour({ throughput, completed_last_hour: all }) {
  const told = JSON.stringify(throughput);
  if (hour.told === told) return;
  hour.told = told;
  const most = Math.max(1, ...throughput.map((bucket) => bucket.completed));
  const bars = throughput.map(({ completed, at }, index) => {
    const height = Math.max(1.5, (78 * completed) / most);
    const title = h("title", {}, `${completed} from ${clock(at)}`);
    return h("rect", { x: index * 25 + 3, y: 90 - height, width: 19, height, rx: 2 }, title);
  });
  const figures = throughput.map((bucket) => bucket.completed).join(", ");
  const label = `${plural(all, "job")} ended in the last hour; in each five minutes from ${clock(throughput[0].at)} on: ${figures}`;
  $("#hour").replaceChildren(
    h("p.big", {}, h("b", {}, all.toLocaleString("en")), " done"),
    h("svg.bars", { viewBox: "0 0 300 92", role: "img", "aria-label": label }, bars),
  );
}

function turn(by) {
  offset = Math.max(0, offset + by);
  look();
}

function connection(news) {
  Object.assign(said, news);
  tell($("#connection"), [said.stream, said.look].filter(Boolean).join(" "));
}

const unseen = (error) => connection({ look: error.message });

/** What a visitor wished in vain: it stands there for a while, or until the next wish, whatever the queue does. */
function refused(text) {
  tellIf($("#wrong"), text);
  clearTimeout(refused.timer);
  refused.timer = setTimeout(tellIf, READ, $("#wrong"), "");
}

$("#earlier").addEventListener("click", () => turn(-PAGE));
$("#later").addEventListener("click", () => turn(PAGE));
enter(() => {
  follow("/v1/queue/events", ["queue"], {
    hear: (_, found) => show(found),
    status: (state) => connection({ stream: WORDS[state] }),
    meanwhile: () => call("/v1/queue").then(show, unseen),
  });
  setInterval(tick, 1000);
});
