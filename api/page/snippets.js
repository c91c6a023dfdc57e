/** The same job in other tongues. Its inputs are fetched first, so that each works as it stands. */

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The preset, and what the job had otherwise. */
function order({ recipe }, presets) {
  const base = presets[recipe.preset] || presets.default;
  const other = Object.entries(recipe).filter(([name, value]) => name !== "preset" && !equal(value, base[name]));
  return { preset: base.preset, ...Object.fromEntries(other) };
}

const files = ({ urls }) => [["photo.png", urls.content], ...urls.styles.map((url, at) => [`style-${at}.png`, url])];
const fetching = (job) => files(job).map(([name, url]) => `curl -s ${location.origin}${url} -o ${name}`).join("\n");

export const snippets = {
  curl(job, presets) {
    const parts = files(job).map(([name], at) => `-F ${at ? "style" : "content"}=@${name}`).join(" ");
    return `${fetching(job)}\ncurl ${location.origin}/v1/jobs ${parts} \\\n  -F recipe=${quoted(JSON.stringify(order(job, presets)))}\n`;
  },
  CLI(job, presets) {
    const { preset, ...rest } = order(job, presets);
    const sets = Object.entries(rest).map(([name, value]) => ` --set ${quoted(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)}`).join("");
    return `${fetching(job)}\neasel --url ${location.origin} submit ${files(job).map(([name]) => name).join(" ")} --recipe ${preset}${sets} -o result.png\n`;
  },
  Python(job, presets) {
    const [[photo], ...styles] = files(job);
    const recipe = JSON.stringify(order(job, presets)).replace(/\b(true|false|null)\b/g, (word) => ({ true: "True", false: "False", null: "None" })[word]);
    return `from api.client import Easel\n\n# ${fetching(job).replaceAll("\n", "\n# ")}\nwith Easel("${location.origin}") as easel:\n    job = easel.submit("${photo}", [${styles.map(([name]) => `"${name}"`).join(", ")}], ${recipe})\n`;
  },
};
