/** Format numbers, times and job facts for people. */

const UNITS = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** 75 -> "1 min 15 s"; at most two units. */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  if (rest >= 600) rest = Math.round(rest / 60) * 60;
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count) parts.push(`${count}\u00a0${unit}${unit === "day" && count > 1 ? "s" : ""}`);
    rest -= count * size;
  }
  return parts.slice(0, 2).join("\u00a0") || "0\u00a0s";
}

/** {p50: 60, p90: 90} -> "about 1 min (90% within 1 min 30 s)" */
export function eta(seconds) {
  if (!seconds) return "No estimate yet";
  const [p50, p90] = [duration(seconds.p50), duration(seconds.p90)];
  return p50 === p90 ? `about ${p50}` : `about ${p50} (90% within ${p90})`;
}

/** {p50: 60, p90: 90} -> "1 min – 1 min 30 s", for where there is little room. */
export const etaRange = (seconds) => (seconds ? [...new Set([seconds.p50, seconds.p90].map(duration))].join(" – ") : "–");

export const bytes = (size) => (size >= 2 ** 30 ? `${(size / 2 ** 30).toFixed(1)}\u00a0GiB` : `${Math.round(size / 2 ** 20)}\u00a0MiB`);
export const percent = (value) => `${Math.floor(value)}%`;

/** Three significant digits, without trailing zeros. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3)) return value.toExponential(1);
  return Number(value.toPrecision(Math.abs(value) >= 1000 ? 6 : 3)).toLocaleString("en");
}

export const secondsSince = (iso) => (Date.now() - Date.parse(iso)) / 1000;

/** "24 Nov, 14:05" */
export const dateTime = (iso) =>
  new Date(iso).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** The title of a job, if it has one, and when it was submitted. */
export const jobName = ({ metadata, created_at }) => [metadata.title, dateTime(created_at)].filter(Boolean).join(", ");

export const time = (iso) => new Date(iso).toLocaleTimeString("en-GB", { timeStyle: "short" });

const TIERS = { interactive: "Right away", standard: "Standard", batch: "When machines are free" };
/** The name of a queue tier for people; operators may have others than the usual ones. */
export const tierName = (name) => TIERS[name] ?? words(name);
const noBreak = (text) => text.replaceAll(" ", "\u00a0");
export const shortId = (id) => id.slice(-6);
/** "Chelsea · 1b9a88": titles are not unique. */
export const jobLabel = ({ id, metadata }) => [metadata.title, shortId(id)].filter(Boolean).join(" · ");
/** "style_weight" -> "Style weight" */
export const words = (name) => name.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());
/** The name of a recipe's field; "Steps" are those of the progress, which include patch matching. */
export const fieldName = (name) => (name === "steps" ? "Evaluations" : words(name));
/** "at most 4096" -> "At most 4096." */
export const sentence = (text) => text.replace(/^[a-z]/, (first) => first.toUpperCase()).replace(/[^.!?]$/, "$&.");
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

export const evaluations = (steps) => (steps ? plural(steps, "evaluation") : "no evaluation");

/** "default · 384 px · 30 evaluations" */
export const recipeSummary = (recipe) => [recipe.preset, `${recipe.size} px`, evaluations(recipe.steps)].map(noBreak).join(" · ");

const FETCHING = "Fetching the images"; // of a queued job that has no position yet
const STATES = { queued: "Queued", running: "Running", succeeded: "Finished", failed: "Failed", canceled: "Canceled" };
export const stateName = ({ state, waiting_for }) => (waiting_for ? FETCHING : STATES[state]);
