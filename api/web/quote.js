/** What the job would take, asked anew a moment after each change; the question before is given up. */

import { call } from "./api.js";
import { h } from "./dom.js";
import { bytes, duration, eta, plural } from "./format.js";

const MOMENT = 400;
const NOTHING_YET = "With a photo, a painting and all knobs in order, this tells time and memory.";

export class Quote {
  /** `form()` is the body to ask with, or null where something is missing; `told(problem | null)` hears what is wrong. */
  constructor(node, form, told, useSize) {
    Object.assign(this, { node, form, told, useSize });
    this.say(h("p.soft", {}, NOTHING_YET));
  }

  ask() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.timer = setTimeout(() => this.fetch(), MOMENT);
  }

  async fetch() {
    const body = this.form();
    this.node.removeAttribute("aria-busy");
    if (!body) return this.say(h("p.soft", {}, NOTHING_YET));
    this.asking = new AbortController();
    this.node.setAttribute("aria-busy", "true");
    try {
      this.show(await call("/v1/jobs?dry_run=true", { method: "POST", body, signal: this.asking.signal, tries: 3 }));
      await this.told(null);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.say(h("p.soft", {}, "No quote as it stands."));
      await this.told(error);
    }
    this.node.removeAttribute("aria-busy");
  }

  show(found) {
    const line = found.queue_depth ? `${plural(found.queue_depth, "job is", "jobs are")} before it` : "Nobody is before it";
    const ready = found.eta_seconds ? `ready in ${eta(found.eta_seconds)}` : "no worker is alive to say when";
    const [peak, memory] =
      found.memory_kind === "gpu" ? [found.peak_gpu_memory_bytes, "GPU memory"] : [found.peak_memory_bytes, "memory"];
    this.say(
      h("p", {}, h("b", {}, duration(found.seconds)), " of painting, ",
        h("b", {}, bytes(peak)), ` of ${memory}, ${found.width} × ${found.height} px`),
      h("p.soft", {}, `${line}; ${ready}`),
      !found.fits && this.misfit(found.fitting_size),
    );
  }

  misfit(size) {
    if (!size) return h("p.wrong", {}, "No worker has the memory for it, at any size.");
    const shrink = h("button.small", { type: "button", onclick: () => this.useSize(size) }, `Use ${size} px`);
    return h("p.wrong", {}, `It does not fit: no worker has that much memory. At size ${size} it would. `, shrink);
  }

  say(...parts) {
    this.node.replaceChildren(...parts.filter(Boolean));
  }
}
