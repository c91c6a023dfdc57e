/** Numbers and times as people say them. */

const UNITS = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** 75 -> "1 min 15 s"; two units at most. */
export function duration(seconds) {
  let left = Math.max(0, Math.round(seconds));
  if (left >= 600) left = Math.round(left / 60) * 60;
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    if (count) parts.push(`${count}\u00a0${unit}${unit === "day" && count > 1 ? "s" : ""}`);
    left -= count * size;
  }
  return parts.slice(0, 2).join("\u00a0") || "0 s";
}

/** An estimate, with what it leaves open. */
export function eta(found) {
  if (!found) return "no estimate yet";
  const [likely, surely] = [duration(found.p50), duration(found.p90)];
  return likely === surely ? `about ${likely}` : `about ${likely}, 9 in 10 times within ${surely}`;
}

/** The same, where there is little room: likely to nearly surely. */
export const span = (found) => (found ? [...new Set([found.p50, found.p90].map(duration))].join(" – ") : "–");

export const bytes = (size) => (size >= 2 ** 30 ? `${(size / 2 ** 30).toFixed(1)} GiB` : `${Math.round(size / 2 ** 20)} MiB`);

/** Three significant digits, without a tail of zeros. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3)) return value.toExponential(1);
  return Number(value.toPrecision(Math.abs(value) >= 1000 ? 6 : 3)).toLocaleString("en");
}

export const seconds = (iso) => (Date.now() - Date.parse(iso)) / 1000;

/** "24 Nov, 14:05" */
export const when = (iso) =>
  new Date(iso).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB", { timeStyle: "short" });

const unbroken = (text) => text.replaceAll(" ", "\u00a0");
export const short = (id) => id.slice(-6);
export const words = (name) => name.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());
/** "at most 4096" -> "At most 4096." */
export const sentence = (text) => text.replace(/^[a-z]/, (first) => first.toUpperCase()).replace(/[^.!?]$/, "$&.");
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** "default · 384 px · 170 steps" */
export const recipeLine = (recipe) => [recipe.preset, `${recipe.size} px`, plural(recipe.steps, "step")].map(unbroken).join(" · ");

export const STATES = { queued: "Waiting", running: "Painting", succeeded: "Finished", failed: "Failed", canceled: "Canceled" };
