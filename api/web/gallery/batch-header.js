/** What is said of a batch above its jobs: how many have ended, one progress, an estimate, one cancel and the contact sheet. */

import { call, requestResponse } from "../common/api.js";
import { askFirst } from "../common/confirm-button.js";
import { $, h, setText, showText } from "../common/dom.js";
import { dateTime, eta, percent, plural } from "../common/format.js";

const REFRESH = 3000; // milliseconds between requests, for each JOBS_PER_REFRESH jobs: the API reads all of them
const JOBS_PER_REFRESH = 25;
const REQUEST_TIMEOUT = 10_000; // milliseconds

export class BatchHeader {
  /** `onChange()` is called when jobs have changed their states, `onMissing()` when there is no batch (any more). */
  constructor(node, id, { onChange, onMissing }) {
    Object.assign(this, { node, onChange, onMissing, path: `/v1/batches/${encodeURIComponent(id)}` });
    this.done = h("h2");
    this.facts = h("p.muted");
    this.announcement = h("p.visually-hidden", { role: "status" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the batch" });
    const question = () => `Cancel ${plural(this.activeCount, "job")}?`;
    this.cancel = askFirst(h("button", { type: "button" }, "Cancel all"), question, () => this.cancelAll());
    this.sheet = h("a.button", { role: "link", "aria-describedby": "sheet-note" }, "Contact sheet");
    this.note = h("p.muted", { id: "sheet-note" });
    this.connection = h("p.muted");
    this.error = h("p.error", { role: "alert", hidden: true });
    node.replaceChildren(
      h("div.row", {}, h("div", {}, this.done, this.facts), h("div.actions", {}, this.cancel, this.sheet)),
      this.bar, this.note, this.connection, this.error, this.announcement);
  }

  get activeCount() {
    return this.batch.counts.queued + this.batch.counts.running;
  }

  /** Load and show the batch, and do so again until there is nothing more to wait for. Returns whether it exists. */
  async refresh() {
    clearTimeout(this.timer);
    const request = (this.request = {}); // the response to an earlier request is dropped
    try {
      const batch = await call(this.path, { signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
      const sheet = batch.contact_sheet_error ? null : batch.urls.contact_sheet;
      const hasSheet = Boolean(sheet) && (await requestResponse(sheet, { method: "HEAD" })).ok;
      if (this.request !== request) return true;
      showText(this.connection, "");
      this.show(batch, hasSheet);
      if (batch.completed_at && (hasSheet || !sheet)) return true;
    } catch (error) {
      if (this.request !== request) return true;
      if (error.status === 404) return this.showMissing(error);
      showText(this.connection, error.message);
    }
    this.refreshIn(REFRESH * Math.max(1, (this.batch?.jobs.length ?? 0) / JOBS_PER_REFRESH));
    return true;
  }

  refreshIn(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(refreshWhenVisible, milliseconds, this);
  }

  show(batch, hasSheet) {
    const previous = this.batch;
    this.batch = batch;
    const { counts, progress, eta_seconds, completed_at, jobs } = batch;
    this.node.hidden = false;
    setText($("h1"), `Batch of ${dateTime(batch.created_at)}`);
    document.title = `${percent(100 * progress)} · Batch · Easel`;
    setText(this.done, `${jobs.length - this.activeCount} of ${plural(jobs.length, "job")} done`);
    const states = ["running", "queued", "failed", "canceled"].filter((state) => counts[state]).map((state) => `${counts[state]} ${state}`);
    if (!completed_at) states.push(eta_seconds ? `ready in ${eta(eta_seconds)}` : "no estimate yet");
    showText(this.facts, states.join(" · "));
    this.bar.value = progress;
    setText(this.announcement, completed_at ? "All jobs have ended." : `${25 * Math.floor(4 * progress)} percent`);
    this.renderCancel();
    this.renderSheet(hasSheet);
    if (previous && JSON.stringify(previous.counts) !== JSON.stringify(counts)) this.onChange();
  }

  renderCancel() {
    this.cancel.hidden = !this.batch.urls.cancel;
    this.cancel.disabled = Boolean(this.isCanceling);
    if (!this.cancel.isAsking) setText(this.cancel, this.isCanceling ? "Canceling…" : "Cancel all");
  }

  /** The sheet is a link once it is there. Before, the link is disabled, and the note says why. */
  renderSheet(hasSheet) {
    const { completed_at, contact_sheet_error, urls } = this.batch;
    this.sheet.hidden = Boolean(completed_at) && !urls.contact_sheet; // no job has a result
    if (hasSheet) this.sheet.setAttribute("href", `${urls.contact_sheet}?format=png`);
    else this.sheet.removeAttribute("href");
    this.sheet.setAttribute("aria-disabled", String(!hasSheet));
    const waiting = completed_at ? "The contact sheet is being made." : "The contact sheet is made when all jobs have ended.";
    showText(this.note, hasSheet || this.sheet.hidden ? "" : (contact_sheet_error?.detail ?? waiting));
  }

  showMissing({ message }) {
    setText($("h1"), "Batch not found");
    document.title = "Batch not found · Easel";
    this.node.hidden = false;
    this.node.replaceChildren(h("p.error", { role: "alert" }, message), h("a.button", { href: "/gallery" }, "Show the gallery"));
    this.onMissing();
    return false;
  }

  async cancelAll() {
    this.isCanceling = true;
    this.renderCancel();
    showText(this.error, "");
    try {
      await call(`${this.path}/cancel`, { method: "POST", tries: 5 });
    } catch (error) {
      this.isCanceling = false;
      showText(this.error, error.message);
    }
    await this.refresh();
  }
}

function refreshWhenVisible(header) {
  if (!document.hidden) header.refresh();
  else document.addEventListener("visibilitychange", () => header.refresh(), { once: true });
}
