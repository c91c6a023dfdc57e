/** One job, from the line to the finished picture. Its story is replayed from the start, so a reload loses nothing. */

import { call } from "./api.js";
import { Curves } from "./curves.js";
import { $, h, tell, tellIf } from "./dom.js";
import { WORDS, follow } from "./events.js";
import { Filmstrip } from "./filmstrip.js";
import { STATES, duration, eta, number, recipeLine } from "./format.js";
import { Easel } from "./slider.js";
import { wished } from "./wish.js";

const KINDS = ["state", "progress", "preview", "warning", "lease_lost", "cancel_requested", "finish_requested", "acknowledged"];
const OVER = new Set(["succeeded", "failed", "canceled"]);
const LOOK = 3000; // milliseconds between looks at place and estimate, which are no events
const GLANCE = 30_000; // the same while the tab is hidden and has no stream: its title goes on

export class Watch {
  /** `turned()` is called when the job is seen in another state, the first one included. */
  constructor(node, id, turned) {
    this.node = node;
    this.onTurn = turned;
    this.path = `/v1/jobs/${id}`;
    this.easel = new Easel(`${this.path}/content?longest=1024`);
    this.film = new Filmstrip((frame, atOnce) => this.easel.show(frame.url, frame.alt, atOnce));
    this.curves = new Curves();
    this.bar = h("progress", { max: 100, value: 0, "aria-label": "Progress" });
    this.facts = h("dl.facts");
    this.notes = h("ul.plain.notes");
    this.wrong = h("p.wrong", { role: "alert", hidden: true });
    this.link = h("p.soft", { hidden: true });
    this.finish = h("button", { type: "button", onclick: () => this.steer("finish", this.finish) }, "Finish now");
    this.cancel = h("button", { type: "button", onclick: () => this.steer("cancel", this.cancel) }, "Cancel");
    this.download = h("a.button.primary", { href: `${this.path}/result`, download: `easel-${id}.png`, hidden: true }, "Download");
    this.again = h("a.button", { href: `/?again=${id}`, hidden: true }, "Do it again with …");
    const acts = h("div.acts", {}, this.download, this.finish, this.cancel, this.again, h("a.button.quiet", { href: "/" }, "New picture"));
    node.replaceChildren(h("div.atelier", {},
      h("div.wall", {}, this.easel.node, this.film.node),
      h("div.side", {}, this.bar, this.facts, this.wrong, this.link, acts, this.notes, this.curves.node)));
    this.begin();
  }

  async begin() {
    if (!(await this.look())) return;
    await this.unroll();
    if (this.closed) return;
    this.stop = follow(`${this.path}/events`, KINDS, {
      hear: (kind, data) => this.hear(kind, data),
      status: (state) => tellIf(this.link, this.over ? "" : WORDS[state]),
      meanwhile: () => (this.over ? this.stop() : this.look() && this.unroll()),
    });
    if (!this.over) this.timer = setInterval(() => this.isTime() && this.look(), LOOK);
  }

  isTime = () => !document.hidden || Date.now() - this.looked >= GLANCE;

  /** The film so far: what the stream may not tell any more, or not at the moment. */
  async unroll() {
    const { previews } = await call(`${this.path}/previews`).catch(() => ({ previews: [] }));
    previews.forEach(({ step, url }) => this.film.add(step, url));
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.film.stop();
    this.stop?.();
  }

  /** Ask for the job. False where there is none to be had. */
  async look() {
    this.looked = Date.now();
    try {
      this.show(await call(this.path));
      return !this.closed;
    } catch (error) {
      if (this.closed) return false;
      if (error.status === 404) {
        this.close();
        tell($("#title"), "This job is not here");
        this.node.replaceChildren(h("p.wrong", { role: "alert" }, error.message), h("a.button", { href: "/" }, "New picture"));
        return false;
      }
      if (!this.over) tellIf(this.link, WORDS.reconnecting);
      return true;
    }
  }

  hear(kind, data) {
    if (kind === "progress") {
      if (data.losses) this.curves.add(data.progress.current, data.losses);
      if (this.job && !this.over && data.progress.current >= this.job.progress.current) {
        Object.assign(this.job, { progress: data.progress });
        this.job.metrics.steps_per_second = data.steps_per_second;
        this.facing();
        if (data.progress.current && !this.job.urls.finish) this.lookOnce();
      }
    } else if (kind === "preview") {
      if (data.url) this.film.add(data.step, data.url);
    } else if (kind === "warning") this.note(data.detail);
    else if (kind === "lease_lost") this.note("The worker was lost; another one goes on from the last checkpoint.");
    else if (!this.over) this.look();
    if (kind === "state" && OVER.has(data.state)) this.stop(); // the last event of all; the browser would ask for ever
  }

  /** The first step makes it possible to finish early, which no event tells. */
  lookOnce() {
    if (!this.begun) this.look();
    this.begun = true;
  }

  note(text) {
    if (text !== this.notes.lastChild?.textContent) this.notes.append(h("li", {}, text));
  }

  show(job) {
    if (this.closed || (this.over && !OVER.has(job.state))) return; // an answer that the end has overtaken
    const before = this.job?.state;
    this.job = job;
    this.over = OVER.has(job.state);
    const resumed = job.resumed_from_step;
    if (resumed !== null && resumed !== this.resumed) this.note(`Resumed from step ${resumed}.`);
    this.resumed = resumed;
    this.facing();
    if (before === job.state) return;
    this.turned(job);
    this.onTurn();
  }

  /** The state is another one: the only thing that is said aloud, beside every quarter of the way. */
  turned(job) {
    tell($("#title"), this.heading());
    tell($("#said"), `${this.heading()}. ${job.error?.detail || ""}`);
    this.easel.node.dataset.state = job.state;
    if (!this.over) return;
    tellIf(this.link, "");
    const which = `The ${job.state === "succeeded" ? "finished" : "last good"} picture`;
    if (job.urls.result) this.film.add(job.progress.total + 1, job.urls.result, `${which}, ${recipeLine(job.recipe)}`, which);
    if (job.error) tellIf(this.wrong, job.error.detail);
    clearInterval(this.timer);
  }

  heading() {
    const { state, stopped_early: early, stopped_at_step: step } = this.job;
    if (state === "queued") return "Waiting for a worker";
    if (state === "running") return "The picture emerges";
    return early && state === "succeeded" ? `Finished early, at step ${step}` : STATES[state];
  }

  facing() {
    const { state, progress, urls } = this.job;
    this.bar.value = state === "succeeded" ? 100 : progress.percentage;
    this.bar.classList.toggle("still", this.over);
    document.title = state === "running" ? `${Math.floor(progress.percentage)} % · Easel` : `${STATES[state]} · Easel`;
    this.sayQuarter();
    this.fill(this.factsNow());
    this.offer(urls);
  }

  sayQuarter() {
    const quarter = Math.floor(this.job.progress.percentage / 25);
    if (this.job.state !== "running" || quarter <= (this.quarter || 0)) return;
    this.quarter = quarter;
    tell($("#said"), `${25 * quarter} per cent`);
  }

  /** What may be done now: steer while it runs, fetch and go on afterwards. */
  offer(urls) {
    const [ending, canceling] = [this.job.finish_requested_at, this.job.cancel_requested_at];
    this.finish.hidden = this.cancel.hidden = this.over;
    this.finish.disabled = !urls.finish || Boolean(ending || canceling);
    this.finish.title = urls.finish ? "Keep the picture as it is" : "Possible after the first step";
    this.cancel.disabled = !urls.cancel || Boolean(canceling);
    tell(this.finish, ending ? this.doing("Finishing") : "Finish now");
    tell(this.cancel, canceling ? this.doing("Canceling") : "Cancel");
    this.download.hidden = !urls.result;
    this.again.hidden = !this.over;
    this.film.timelapse.hidden = !urls.timelapse;
    if (urls.timelapse) this.film.timelapse.href = `${urls.timelapse}?download=true`;
  }

  doing = (what) => (this.job.acknowledged_at ? `${what}: the worker has stopped` : `${what} at the next step`);

  factsNow() {
    const { state, progress, metrics, recipe } = this.job;
    const step = ["Step", `${progress.current.toLocaleString("en")} of ${progress.total.toLocaleString("en")}`];
    const speed = metrics.steps_per_second && `${number(metrics.steps_per_second)} steps/s`;
    return [...this.factsOf(state, step, speed), ["Recipe", recipeLine(recipe)]];
  }

  factsOf(state, step, speed) {
    if (state === "queued") return this.factsInLine(step);
    return state === "running" ? this.factsAtWork(step, speed) : this.factsAfterwards(step, speed);
  }

  factsInLine(step) {
    const { progress, queue_position: place, eta_seconds } = this.job;
    return [
      ["Place in line", place === 1 ? "next" : number(place)],
      ["Ready in", eta(eta_seconds)],
      progress.current && step,
    ];
  }

  factsAtWork(step, speed) {
    const { progress, worker, eta_seconds } = this.job;
    const phase = progress.phase !== "done" && progress.phase;
    return [
      ["Done", [`${Math.floor(progress.percentage)} %`, phase].filter(Boolean).join(", ")],
      step,
      ["Speed", speed || "–"],
      ["Left", eta(eta_seconds)],
      worker && ["Worker", worker],
    ];
  }

  factsAfterwards(step, speed) {
    const { run_seconds, queue_seconds } = this.job.metrics;
    return [
      step,
      speed && ["Speed", speed],
      ["Painted for", duration(run_seconds)],
      ["Waited for", duration(queue_seconds)],
    ];
  }

  fill(facts) {
    this.facts.replaceChildren(...facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  async steer(wish, button) {
    button.disabled = true;
    tellIf(this.wrong, "");
    try {
      this.show(await wished(wish, this.path));
    } catch (error) {
      tellIf(this.wrong, error.message);
      this.look();
    }
  }
}
