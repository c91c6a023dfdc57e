/** The same job in other tongues. Each fetches the inputs, submits, waits and saves the picture as it stands. */

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
const curl = (rest) => `curl -fsS${asksForKeys() ? ' -H "Authorization: Bearer $EASEL_API_KEY"' : ""} "${location.origin}${rest}"`;
const fetching = (job) => files(job).map(([name, url]) => `${curl(url)} -o ${name}`).join("\n");

const PYTHON = { true: "True", false: "False", null: "None" };

export const snippets = {
  curl(job, presets) {
    const parts = files(job).map(([name], at) => `-F ${at ? "style" : "content"}=@${name}`).join(" ");
    return `${fetching(job)}
job=$(${curl("/v1/jobs")} ${parts} \\
  -F recipe=${quoted(JSON.stringify(order(job, presets)))} | grep -o '"id": *"[^"]*' | cut -d '"' -f 4)
echo "$job"
while ${curl("/v1/jobs/$job?wait=60")} | grep -Eq '"state": *"(queued|running)"'; do sleep 1; done
${curl("/v1/jobs/$job/result")} -o result.png && echo "Wrote result.png"
`;
  },
  CLI(job, presets) {
    const { preset, ...rest } = order(job, presets);
    const told = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const sets = Object.entries(rest).map(([name, value]) => ` --set ${quoted(`${name}=${told(value)}`)}`).join("");
    const names = files(job).map(([name]) => name).join(" ");
    return `${fetching(job)}\neasel --url ${location.origin} submit ${names} --recipe ${preset}${sets} -o result.png\n`;
  },
  Python(job, presets) {
    const recipe = JSON.stringify(order(job, presets)).replace(/\b(true|false|null)\b/g, (word) => PYTHON[word]);
    const [photo, ...styles] = files(job).map(([, url]) => `fetched("${url}")`);
    const key = asksForKeys() ? `, headers={"Authorization": "Bearer " + os.environ["EASEL_API_KEY"]}` : "";
    return `${key && "import os\n"}from pathlib import Path
from urllib.request import Request, urlopen

from easel import Easel

URL = "${location.origin}"

def fetched(path):
    return urlopen(Request(URL + path${key})).read()

with Easel(URL) as easel:
    job = easel.submit(${photo}, [${styles.join(", ")}], ${recipe})
    print(job.id)
    job.wait()
    Path("result.png").write_bytes(job.result())
    print("Wrote result.png")
`;
  },
};
