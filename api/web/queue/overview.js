/** The parts of the queue page that only show numbers: tiers, workers, and the last hour. */

import { h, setText } from "../common/dom.js";
import { bytes, eta, jobLabel, plural, tierName, time } from "../common/format.js";

const WEIGHTS = { imagenet: "ImageNet weights", calibrated: "weights learned here", path: "weights from a file" };

export function createTier({ name }) {
  const [depth, note, age, newJob] = [h("b"), h("span.muted"), h("span.muted"), h("span.muted")];
  return { node: h("li.panel", {}, h("h2", {}, tierName(name)), h("p.big-number", {}, depth, " queued"), note, age, newJob), depth, note, age, newJob };
}

/** `place` is that of the tier among `count`, in the order in which workers serve them. */
export function updateTier(entry, { depth, default: isDefault, oldest_seconds, eta_seconds }, place, count) {
  const order = count > 1 && (place === 0 ? "Served first." : place === count - 1 ? "Served last." : "Served in between.");
  setText(entry.note, [isDefault && "The studio suggests it.", order].filter(Boolean).join(" "));
  setText(entry.depth, depth.toLocaleString("en"));
  entry.oldestAt = oldest_seconds === null ? null : Date.now() - 1000 * oldest_seconds;
  setText(entry.newJob, eta_seconds ? `A new default job: ready in ${eta(eta_seconds)}` : "");
}

export function createWorker() {
  const [name, activity, facts] = [h("b"), h("span"), h("span.muted")];
  return { node: h("li.worker", {}, name, activity, facts), name, activity, facts };
}

/** `job` is what the worker runs, unless that is nothing or another tenant's. */
export function updateWorker(entry, { name, busy, device, memory_bytes, memory_kind, weights }, job) {
  setText(entry.name, name);
  entry.activity.replaceChildren(...(job ? ["running ", h("a", { href: `/?job=${job.id}` }, jobLabel(job))] : [busy ? "running" : "idle"]));
  const cores = device.match(/^cpu:(\d+)$/)?.[1];
  const memory = memory_bytes && `${bytes(memory_bytes)} ${memory_kind === "gpu" ? "GPU memory" : "memory"}`;
  setText(entry.facts, [cores ? plural(Number(cores), "CPU core") : device, memory, WEIGHTS[weights.split(" ")[0]]].filter(Boolean).join(" · "));
  entry.facts.title = `Weights: ${weights}`;
}

const [LEFT, RIGHT, TOP, BASE] = [24, 298, 8, 92]; // edges of the chart's area

/** Draw the last hour as twelve bars of five minutes. */
export function renderThroughput(section, { throughput, completed_last_hour }) {
  const data = JSON.stringify(throughput);
  if (section.dataset.shown === data) return;
  section.dataset.shown = data;
  const counts = throughput.map((bucket) => bucket.completed);
  const [max, pitch] = [Math.max(1, ...counts), (RIGHT - LEFT) / counts.length];
  const bars = throughput.map(({ completed, at }, index) => {
    const height = ((BASE - TOP) * completed) / max;
    return h("rect", { x: LEFT + index * pitch + 2, y: BASE - height, width: pitch - 4, height, rx: 2 }, h("title", {}, `${completed} from ${time(at)}`));
  });
  const text = (x, y, content, anchor) => h("text", { x, y, "text-anchor": anchor }, content);
  const line = (y) => h("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y });
  const axes = [line(TOP), line(BASE), text(LEFT - 5, TOP + 4, max, "end"), text(LEFT - 5, BASE + 3, 0, "end"),
    text(LEFT, BASE + 14, time(throughput[0].at), "start"), text(RIGHT, BASE + 14, "now", "end")];
  const label = `${plural(completed_last_hour, "job")} completed in the last hour. Every 5 minutes from ${time(throughput[0].at)}: ${counts.join(", ")}`;
  section.replaceChildren(
    h("p.big-number", {}, h("b", {}, completed_last_hour.toLocaleString("en")), " completed"),
    h("p.muted", {}, "Jobs in each 5 minutes."),
    h("svg.bar-chart", { viewBox: "0 0 300 110", role: "img", "aria-label": label }, axes, bars),
  );
}
