/** Code that submits the same job again. Each snippet downloads the inputs, submits, waits and saves the result. */

import { requiresKey } from "../common/api.js";

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const isEqual = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Return the preset's name and the values that differ from it. */
function shortRecipe({ recipe }, presets) {
  const preset = presets[recipe.preset] || presets.default;
  const changes = Object.entries(recipe).filter(([name, value]) => name !== "preset" && !isEqual(value, preset[name]));
  return { preset: preset.preset, ...Object.fromEntries(changes) };
}

const inputFiles = ({ urls }) => [["photo.png", urls.content], ...urls.styles.map((url, index) => [`style-${index}.png`, url])];
const curl = (path) => `curl -fsS${requiresKey() ? ' -H "Authorization: Bearer $EASEL_API_KEY"' : ""} "${location.origin}${path}"`;
const downloadInputs = (job) => inputFiles(job).map(([name, url]) => `${curl(url)} -o ${name}`).join("\n");

const PYTHON_LITERALS = { true: "True", false: "False", null: "None" };

export const snippets = {
  curl(job, presets) {
    const parts = inputFiles(job).map(([name], index) => `-F ${index ? "style" : "content"}=@${name}`).join(" ");
    return `${downloadInputs(job)}
job=$(${curl("/v1/jobs")} ${parts} \\
  -F recipe=${shellQuote(JSON.stringify(shortRecipe(job, presets)))} | grep -o '"id": *"[^"]*' | cut -d '"' -f 4)
echo "$job"
while ${curl("/v1/jobs/$job?wait=60")} | grep -Eq '"state": *"(queued|running)"'; do sleep 1; done
${curl("/v1/jobs/$job/result")} -o result.png && echo "Wrote result.png"
`;
  },
  CLI(job, presets) {
    const { preset, ...changes } = shortRecipe(job, presets);
    const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const options = Object.entries(changes).map(([name, value]) => ` --set ${shellQuote(`${name}=${text(value)}`)}`).join("");
    const names = inputFiles(job).map(([name]) => name).join(" ");
    return `${downloadInputs(job)}\neasel --url ${location.origin} submit ${names} --recipe ${preset}${options} -o result.png\n`;
  },
  Python(job, presets) {
    const recipe = JSON.stringify(shortRecipe(job, presets)).replace(/\b(true|false|null)\b/g, (word) => PYTHON_LITERALS[word]);
    const [photo, ...styles] = inputFiles(job).map(([, url]) => `download("${url}")`);
    const headers = requiresKey() ? `, headers={"Authorization": "Bearer " + os.environ["EASEL_API_KEY"]}` : "";
    return `${headers && "import os\n"}from pathlib import Path
from urllib.request import Request, urlopen

from easel import Easel

URL = "${location.origin}"

def download(path):
    return urlopen(Request(URL + path${headers})).read()

with Easel(URL) as easel:
    job = easel.submit(${photo}, [${styles.join(", ")}], ${recipe})
    print(job.id)
    job.wait()
    Path("result.png").write_bytes(job.result())
    print("Wrote result.png")
`;
  },
};
