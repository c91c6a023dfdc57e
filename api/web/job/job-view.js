/** One job, from the queue to the result. Its event stream is replayed from the start, so a reload loses nothing. */

import { call } from "../common/api.js";
import { Comparison } from "../common/comparison.js";
import { $, h, imageSize, setText, showText } from "../common/dom.js";
import { STATUS_TEXTS, subscribe } from "../common/event-stream.js";
import { duration, eta, percent, recipeSummary, secondsSince, stateName } from "../common/format.js";
import { hasInputs } from "../common/job-images.js";
import { Filmstrip } from "./filmstrip.js";
import { JobActions } from "./job-actions.js";
import { JobFacts, jobTitle } from "./job-facts.js";
import { LossChart } from "./loss-chart.js";
import { createResultActions } from "./result-actions.js";

const EVENT_KINDS = ["state", "progress", "estimate", "preview", "warning", "worker_silent", "lease_lost", "cancel_requested", "finish_requested", "acknowledged"];
const TERMINAL = new Set(["succeeded", "failed", "canceled"]);
const REFRESH = 3000; // milliseconds between updates: of the page, and by requests while there is no stream
const SLOW_REFRESH = 30_000; // between requests while the stream is live, or the tab is hidden and has none

export class JobView {
  /** `onStateChange()` is called for the first state and after every change. */
  constructor(node, id, onStateChange) {
    this.node = node;
    this.onStateChange = onStateChange;
    this.path = `/v1/jobs/${id}`;
    this.comparison = new Comparison(null);
    this.filmstrip = new Filmstrip((frame, isChosen) => this.showFrame(frame, isChosen));
    this.lossChart = new LossChart();
    this.bar = h("progress", { max: 100, value: 0, "aria-label": "Progress" });
    this.facts = new JobFacts();
    this.result = h("div");
    this.notices = h("ul.plain.notices");
    this.error = h("p.error", { role: "alert", hidden: true });
    this.connection = h("p.muted", { hidden: true });
    this.silence = h("p.muted", { hidden: true });
    this.actions = new JobActions(id, {
      onJob: (job) => this.show(job),
      onError: (text) => (showText(this.error, text), text && this.refresh()),
      onDelete: () => this.onDelete(),
    });
    node.replaceChildren(h("div.columns", {},
      h("div", {}, this.comparison.node, this.result, this.filmstrip.node),
      h("div.sidebar", {}, this.bar, this.facts.node, this.error, this.connection, this.silence, this.actions.node, this.notices, this.lossChart.node)));
    this.start();
  }

  async start() {
    if (!(await this.refresh())) return;
    await this.loadPreviews();
    if (this.closed) return;
    this.unsubscribe = subscribe(`${this.path}/events`, EVENT_KINDS, {
      onEvent: (kind, data) => this.onEvent(kind, data),
      onStatus: (status) => {
        this.live = status === "live";
        showText(this.connection, this.ended ? "" : STATUS_TEXTS[status]);
      },
      onRefused: () => (this.ended ? this.unsubscribe() : this.refresh() && this.loadPreviews()),
    });
    if (!this.ended) this.timer = setInterval(() => (this.isDue() ? this.refresh() : this.job && this.render()), REFRESH);
  }

  isDue = () => (!document.hidden && !this.live) || Date.now() - this.refreshedAt >= SLOW_REFRESH;

  /** A frame that a person chose must not be covered by the photo. */
  showFrame({ url, alt }, isChosen) {
    if (isChosen) this.comparison.uncover();
    this.comparison.show(url, alt, isChosen);
  }

  /** Load the previews so far: the stream may have dropped old events, or may be refused. */
  async loadPreviews() {
    const { previews } = await call(`${this.path}/previews`).catch(() => ({ previews: [] }));
    previews.forEach(({ step, url }) => this.filmstrip.add(step, url));
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.filmstrip.stop();
    this.unsubscribe?.();
  }

  /** Load and show the job. Returns false if the job does not exist or the view was closed. */
  async refresh() {
    this.refreshedAt = Date.now();
    try {
      this.show(await call(this.path));
      return !this.closed;
    } catch (error) {
      if (this.closed) return false;
      if (error.status === 404) {
        this.showMissing("Job not found", h("p.error", { role: "alert" }, error.message));
        return false;
      }
      if (!this.ended) showText(this.connection, STATUS_TEXTS.reconnecting);
      return true;
    }
  }

  /** Show that there is no such job, or not any more. */
  showMissing(title, text) {
    this.close();
    setText($("#title"), title);
    document.title = `${title} · Easel`;
    this.node.replaceChildren(text, h("a.button", { href: "/" }, "New image"));
  }

  onDelete() {
    if (this.closed) return;
    const text = "The job and its images were deleted.";
    this.showMissing("Deleted", h("p", {}, text));
    setText($("#status"), text);
    $("a", this.node).focus();
    this.onStateChange();
  }

  onEvent(kind, data) {
    if (kind === "progress") this.onProgress(data);
    else if (kind === "estimate") this.onEstimate(data);
    else if (kind === "preview") {
      if (data.url) this.filmstrip.add(data.step, data.url);
      if (this.job && !this.job.urls.timelapse) this.refresh(); // the second preview makes one possible
    } else if (kind === "warning") this.addNotice(data.detail);
    else if (kind === "worker_silent") this.onSilence(data);
    else if (kind === "lease_lost") this.addNotice("The worker was lost. Another one will resume from the last checkpoint.");
    else if (!this.ended) this.refresh();
    if (kind === "state") this.hasSteps = false;
    if (kind === "state" && TERMINAL.has(data.state)) this.unsubscribe(); // the last event; the browser would reconnect forever
  }

  onProgress({ progress, losses, steps_per_second }) {
    if (losses) this.lossChart.add(progress.current, losses);
    if (!this.job || this.ended || progress.current < this.job.progress.current) return;
    this.job.progress = progress;
    this.job.metrics.steps_per_second = steps_per_second;
    this.job.worker_silent_since = null;
    this.render();
    if (progress.current) this.refreshAfterFirstStep();
  }

  onEstimate({ queue_position, eta_seconds }) {
    if (!this.job || this.ended) return;
    Object.assign(this.job, { queue_position, eta_seconds });
    this.estimatedAt = Date.now();
    this.render();
  }

  onSilence({ since, lease_expires_at }) {
    if (!this.job || this.ended) return;
    Object.assign(this.job, { worker_silent_since: since, lease_expires_at });
    this.renderSilence();
  }

  renderSilence() {
    const { worker_silent_since: since, lease_expires_at } = this.job;
    const rest = since ? -secondsSince(lease_expires_at) : 0;
    const when = rest > 0 ? `in about ${duration(rest)}` : "soon";
    showText(this.silence, since ? `The worker has not answered for ${duration(secondsSince(since))}; the job continues on another one ${when}.` : "");
  }

  /** The estimate less the time since then: the stream sends only what is not expected. */
  readyIn() {
    const [estimate, elapsed] = [this.job.eta_seconds, (Date.now() - this.estimatedAt) / 1000];
    return eta(estimate && { p50: Math.max(0, estimate.p50 - elapsed), p90: Math.max(0, estimate.p90 - elapsed) });
  }

  /** After a claim's first step the job can be finished early, and it is known from which step it resumed. */
  refreshAfterFirstStep() {
    if (!this.hasSteps) this.refresh();
    this.hasSteps = true;
  }

  addNotice(text) {
    if (text !== this.notices.lastChild?.textContent) this.notices.append(h("li", {}, text));
  }

  show(job) {
    if (this.closed || (this.ended && !TERMINAL.has(job.state))) return; // a response from before the end
    const previous = this.job;
    this.job = job;
    this.estimatedAt = Date.now();
    this.ended = TERMINAL.has(job.state);
    this.lossChart.note.hidden = job.recipe.stages.length < 2;
    this.comparison.setSize(job.recipe.size);
    const resumedFrom = job.resumed_from_step;
    if (resumedFrom !== null && resumedFrom !== this.resumedFrom) this.addNotice(`Resumed from step ${resumedFrom}.`);
    this.resumedFrom = resumedFrom;
    this.render();
    if (previous?.state === job.state && previous.waiting_for === job.waiting_for) return;
    this.showState(job);
    this.onStateChange();
  }

  /** Show a new state. Screen readers announce only this and every quarter of the progress. */
  showState(job) {
    setText($("#title"), jobTitle(this.job));
    setText($("#status"), `${jobTitle(this.job)}. ${job.error?.detail || ""}`);
    this.comparison.node.dataset.state = job.state;
    if (hasInputs(job) && !this.comparison.photo.src) this.comparison.setPhoto(`${job.urls.content}?longest=1024`);
    if (!this.ended) return;
    showText(this.connection, "");
    const name = job.state === "succeeded" ? "Finished image" : "Last valid image";
    if (job.urls.result) this.filmstrip.add(job.progress.total + 1, job.urls.result, `${name}, ${recipeSummary(job.recipe)}`, name);
    if (job.error) showText(this.error, job.error.detail);
    clearInterval(this.timer);
    if (!job.urls.result) return;
    this.result.replaceChildren(createResultActions(job));
    imageSize(job.urls.result).then((size) => ((this.size = size), this.renderFacts()));
  }

  render() {
    const { state, progress, urls } = this.job;
    this.bar.value = state === "succeeded" ? 100 : progress.percentage;
    this.bar.classList.toggle("ended", this.ended);
    document.title = `${state === "running" ? percent(progress.percentage) : stateName(this.job)} · Easel`;
    this.announceQuarter();
    this.renderSilence();
    this.renderFacts();
    this.actions.render(this.job, this.ended);
    this.filmstrip.timelapse.hidden = !urls.timelapse;
    if (urls.timelapse) this.filmstrip.timelapse.href = `${urls.timelapse}?download=true`;
  }

  announceQuarter() {
    const quarter = Math.floor(this.job.progress.percentage / 25);
    if (this.job.state !== "running" || quarter <= (this.quarter || 0)) return;
    this.quarter = quarter;
    setText($("#status"), `${25 * quarter} percent`);
  }

  renderFacts = () => this.facts.render(this.job, this.readyIn(), this.size);
}
