/** A quote of the form's time and memory, requested shortly after each change; a newer request aborts the previous one. */

import { call } from "../common/api.js";
import { h } from "../common/dom.js";
import { bytes, duration, eta, plural } from "../common/format.js";

const DELAY = 400; // milliseconds after the last change
const IMAGES_MISSING = "Add a photo and a style image to see an estimate.";
const CHECKING = "Uploading and checking the images…";
const UNAVAILABLE = "No estimate available.";

export class QuotePanel {
  /**
   * `sendForm(send)` resolves to `send(form)`, or to null if images are missing.
   * `onResult(error, quote)` is called after each request, with one of them null, or both if images are missing.
   */
  constructor(node, sendForm, onResult, useSize) {
    Object.assign(this, { node, sendForm, onResult, useSize });
    this.renderText(IMAGES_MISSING);
  }

  requestSoon() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.timer = setTimeout(() => this.load(), DELAY);
  }

  async load() {
    const { signal } = (this.request = new AbortController());
    this.node.setAttribute("aria-busy", "true");
    if (this.node.textContent === IMAGES_MISSING) this.renderChecking();
    try {
      const quote = await this.sendForm((body) => call("/v1/jobs?dry_run=true", { method: "POST", body, signal, tries: 3 }));
      if (signal.aborted) return;
      if (quote) this.show(quote);
      else this.renderText(IMAGES_MISSING);
      this.onResult(null, quote);
    } catch (error) {
      if (signal.aborted) return;
      this.renderText(UNAVAILABLE);
      this.onResult(error, null);
    }
    this.node.removeAttribute("aria-busy");
  }

  show(quote) {
    if (!quote.fits) return this.render(this.memoryError(quote.fitting_size));
    const { queue_depth, running_jobs, eta_seconds, seconds, width, height } = quote;
    const isOnGpu = quote.memory_kind === "gpu";
    const memory = isOnGpu ? `${bytes(quote.peak_gpu_memory_bytes)} GPU memory` : bytes(quote.peak_memory_bytes);
    const running = running_jobs && `${plural(running_jobs, "job is", "jobs are")} running`;
    const queue = queue_depth ? `${plural(queue_depth, "job")} ahead in this queue` : running || "This queue is empty";
    const ready = eta_seconds ? `ready in ${eta(eta_seconds)}` : "no worker takes it now";
    this.render(
      h("p", {}, "Estimate: about ", h("b", {}, duration(seconds)), ", ", h("b", {}, memory)),
      h("p.muted", {}, `${width} × ${height} px. ${queue}, ${ready}.`),
    );
  }

  memoryError(size) {
    if (!size) return alert("No worker has enough memory, at any size.");
    const button = h("button.small", { type: "button", onclick: () => this.useSize(size) }, `Use ${size} px`);
    return alert(`No worker has enough memory. It fits at size ${size}. `, button);
  }

  renderError = (text) => this.render(alert(text));
  renderChecking = () => this.renderText(CHECKING);
  renderText = (text) => this.render(h("p.muted", {}, text));

  render(...parts) {
    this.node.replaceChildren(...parts);
  }
}

const alert = (...content) => h("p.error", { role: "alert" }, ...content);
