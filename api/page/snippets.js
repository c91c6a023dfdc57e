/** The same job in other tongues. Its inputs are fetched first, so that each works as it stands. */

import { asksForKeys } from "./api.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The preset, and what the job had otherwise. */
function order({ recipe }, presets) {
  const base = presets[recipe.preset] || presets.default;
  const other = Object.entries(recipe).filter(([name, value]) => name !== "preset" && !equal(value, base[name]));
  return { preset: base.preset, ...Object.fromEntries(other) };
}

const files = ({ urls }) => [["photo.png", urls.content], ...urls.styles.map((url, at) => [`style-${at}.png`, url])];
const curl = (rest) => `curl -fsS${asksForKeys() ? ' -H "Authorization: Bearer $EASEL_API_KEY"' : ""} ${location.origin}${rest}`;
const fetching = (job) => files(job).map(([name, url]) => curl(`${url} -o ${name}`)).join("\n");

const PYTHON = { true: "True", false: "False", null: "None" };

export const snippets = {
  curl(job, presets) {
    const parts = files(job).map(([name], at) => `-F ${at ? "style" : "content"}=@${name}`).join(" ");
    return `${fetching(job)}\n${curl("/v1/jobs")} ${parts} \\\n  -F recipe=${quoted(JSON.stringify(order(job, presets)))}\n`;
  },
  CLI(job, presets) {
    const { preset, ...rest } = order(job, presets);
    const told = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const sets = Object.entries(rest).map(([name, value]) => ` --set ${quoted(`${name}=${told(value)}`)}`).join("");
    const names = files(job).map(([name]) => name).join(" ");
    return `${fetching(job)}\neasel --url ${location.origin} submit ${names} --recipe ${preset}${sets} -o result.png\n`;
  },
  Python(job, presets) {
    const [[photo], ...styles] = files(job);
    const recipe = JSON.stringify(order(job, presets)).replace(/\b(true|false|null)\b/g, (word) => PYTHON[word]);
    const names = styles.map(([name]) => `"${name}"`).join(", ");
    return [
      "from api.client import Easel\n",
      ...fetching(job).split("\n").map((line) => `# ${line}`),
      `with Easel("${location.origin}") as easel:`,
      `    job = easel.submit("${photo}", [${names}], ${recipe})\n`,
    ].join("\n");
  },
};
