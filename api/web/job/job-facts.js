/** The facts beside a job: what a person needs first, and its steps, speed and worker under "Details". */

import { h, setText } from "../common/dom.js";
import { duration, number, percent, recipeSummary, stateName } from "../common/format.js";
import { createBatchLink } from "./batch-link.js";

const count = (value) => value.toLocaleString("en");

export class JobFacts {
  constructor() {
    [this.facts, this.details] = [h("dl.facts"), h("dl.facts")];
    this.more = h("details", {}, h("summary", {}, "Details"), this.details);
    this.batch = h("p", { hidden: true });
    this.node = h("div", {}, this.facts, this.batch, this.more);
  }

  /** Show a job; `readyIn` is a text, and `size` that of the result once it is known. */
  render(job, readyIn, size) {
    const { state, waiting_for, progress, metrics, recipe, worker, queue_position, metadata } = job;
    const phase = progress.phase !== "done" && progress.phase;
    const facts = {
      queued: [!waiting_for && ["Position", queue_position === 1 ? "Next" : number(queue_position)], ["Ready in", readyIn]],
      running: [["Progress", [percent(progress.percentage), phase].filter(Boolean).join(", ")], ["Ready in", readyIn]],
    }[state] ?? [size && ["Size", size], ["Render time", duration(metrics.run_seconds)], ["Queue time", duration(metrics.queue_seconds)]];
    const hasSteps = state !== "queued" || progress.current;
    const details = [
      hasSteps && ["Step", `${count(progress.current)} of ${count(progress.total)}`],
      metrics.steps_per_second && ["Speed", `${number(metrics.steps_per_second)} steps/s`],
      worker && state === "running" && ["Worker", worker],
    ].filter(Boolean);
    const title = metadata.title && ["Title", metadata.title];
    show(this.facts, [title, ...facts, ["Recipe", recipeSummary(recipe)]].filter(Boolean));
    show(this.details, details);
    this.more.hidden = !details.length;
    if (job.batch && this.batch.hidden) this.batch.append(createBatchLink(job));
    this.batch.hidden = !job.batch;
  }
}

/** Show [name, value] pairs. Unchanged ones are not written again, so a selected text stays selected. */
function show(list, facts) {
  const names = facts.map(([name]) => name).join();
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...facts.map(([name]) => h("div", {}, h("dt", {}, name), h("dd"))));
  }
  facts.forEach(([, value], index) => setText(list.children[index].lastChild, value));
}

export function jobTitle(job) {
  const { state, waiting_for, stopped_early, stopped_at_step } = job;
  if (state === "queued" && !waiting_for) return "Waiting for a worker";
  if (state === "running") return "Rendering";
  return stopped_early && state === "succeeded" ? `Finished early at step ${stopped_at_step}` : stateName(job);
}
