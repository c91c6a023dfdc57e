/** Code that submits the same job again. Each snippet downloads the inputs, submits, waits and saves the result. */

import { requiresKey } from "../common/api.js";
import { shortRecipe } from "../common/recipe-changes.js";

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return {part, name, url, option} for each input, in the order of the form. `option` is that of the command. */
function inputFiles({ urls: { content, styles, content_masks, init_image } }) {
  const numbered = (part, name, urls, option = "") => urls.map((url, index) => ({ part, name: `${name}-${index}.png`, url, option }));
  return [
    { part: "content", name: "photo.png", url: content, option: "" },
    ...numbered("style", "style", styles),
    ...numbered("content_mask", "mask", content_masks, "--mask "),
    ...(init_image ? [{ part: "init_image", name: "start.png", url: init_image, option: "--init-image " }] : []),
  ];
}

const curl = (path) => `curl -fsS${requiresKey() ? ' -H "Authorization: Bearer $EASEL_API_KEY"' : ""} "${location.origin}${path}"`;
const downloadInputs = (job) => inputFiles(job).map(({ name, url }) => `${curl(url)} -o ${name}`).join("\n");

const PYTHON_LITERALS = { true: "True", false: "False", null: "None" };

export const snippets = {
  curl(job, presets) {
    const parts = inputFiles(job).map(({ part, name }) => `-F ${part}=@${name}`).join(" ");
    return `${downloadInputs(job)}
job=$(${curl("/v1/jobs")} ${parts} \\
  -F recipe=${shellQuote(JSON.stringify(shortRecipe(job.recipe, presets)))} | grep -o '"id": *"[^"]*' | cut -d '"' -f 4)
echo "$job"
while ${curl("/v1/jobs/$job?wait=60")} | grep -Eq '"state": *"(queued|running)"'; do sleep 1; done
${curl("/v1/jobs/$job/result")} -o result.png && echo "Wrote result.png"
`;
  },
  CLI(job, presets) {
    const { preset, ...changes } = shortRecipe(job.recipe, presets);
    const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const options = Object.entries(changes).map(([name, value]) => ` --set ${shellQuote(`${name}=${text(value)}`)}`).join("");
    const names = inputFiles(job).map(({ name, option }) => option + name).join(" ");
    return `${downloadInputs(job)}\neasel --url ${location.origin} submit ${names} --recipe ${preset}${options} -o result.png\n`;
  },
  Python(job, presets) {
    const recipe = JSON.stringify(shortRecipe(job.recipe, presets)).replace(/\b(true|false|null)\b/g, (word) => PYTHON_LITERALS[word]);
    const download = (url) => `download("${url}")`;
    const list = (urls) => `[${urls.map(download).join(", ")}]`;
    const { content, styles, content_masks: masks, init_image: init } = job.urls;
    const optional = `${masks.length ? `, content_mask=${list(masks)}` : ""}${init ? `, init_image=${download(init)}` : ""}`;
    const headers = requiresKey() ? `, headers={"Authorization": "Bearer " + os.environ["EASEL_API_KEY"]}` : "";
    return `${headers && "import os\n"}from pathlib import Path
from urllib.request import Request, urlopen

from easel import Easel

URL = "${location.origin}"

def download(path):
    return urlopen(Request(URL + path${headers})).read()

with Easel(URL) as easel:
    job = easel.submit(${download(content)}, ${list(styles)}, ${recipe}${optional})
    print(job.id)
    job.wait()
    Path("result.png").write_bytes(job.result())
    print("Wrote result.png")
`;
  },
  JavaScript(job, presets) {
    const recipe = JSON.stringify(shortRecipe(job.recipe, presets));
    const parts = inputFiles(job).map(({ part, name, url }) => `form.append("${part}", await (await request("${url}")).blob(), "${name}");`);
    const headers = requiresKey() ? "{ Authorization: `Bearer ${process.env.EASEL_API_KEY}` }" : "{}";
    return `// Node.js 18 or later
import { writeFile } from "node:fs/promises";

const headers = ${headers};

async function request(path, options = {}) {
  const response = await fetch("${location.origin}" + path, { headers, ...options });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

const form = new FormData();
${parts.join("\n")}
form.append("recipe", JSON.stringify(${recipe}));
let job = await (await request("/v1/jobs", { method: "POST", body: form })).json();
console.log(job.id);
while (["queued", "running"].includes(job.state)) job = await (await request(\`/v1/jobs/\${job.id}?wait=60\`)).json();
await writeFile("result.png", Buffer.from(await (await request(\`/v1/jobs/\${job.id}/result\`)).arrayBuffer()));
console.log("Wrote result.png");
`;
  },
};
