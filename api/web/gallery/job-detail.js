/** One ended job in a dialog: the result over its photo, its inputs, facts and recipe, and ways to run it again. */

import { call } from "../common/api.js";
import { Comparison } from "../common/comparison.js";
import { h, imageSize, setText } from "../common/dom.js";
import { STATES, dateTime, duration, number, recipeSummary } from "../common/format.js";
import { snippets } from "./snippets.js";

export class JobDetail {
  /** `onDelete(id)` is called after a job was deleted. */
  constructor(dialog, onDelete) {
    Object.assign(this, { dialog, onDelete });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  open(job) {
    const { urls } = job;
    const comparison = new Comparison(`${urls.content}?longest=1024`);
    const image = urls.result || urls.preview;
    if (image) comparison.show(image, `${urls.result ? "Result" : "Last preview"}, ${recipeSummary(job.recipe)}`, true);
    const close = h("button.remove", { type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "×");
    this.status = h("p.muted", { role: "status" });
    this.dialog.replaceChildren(close, h("div.columns", {}, h("div", {}, comparison.node), this.renderSidebar(job)));
    if (!this.dialog.open) this.dialog.showModal();
  }

  renderSidebar(job) {
    const { urls } = job;
    return h("div.sidebar", {},
      h("h2", { id: "detail-title" }, `${STATES[job.state]}, ${dateTime(job.created_at)}`),
      job.error && h("p.error", {}, job.error.detail),
      this.renderInputs(urls),
      this.renderFacts(job),
      ...this.renderActions(job),
      this.renderEarlyNote(job),
      this.status,
      this.renderRecipe(job),
      urls.iterations && this.renderIterations(urls.iterations),
      urls.provenance && this.renderProvenance(urls.provenance));
  }

  renderInputs({ content, styles, content_masks, init_image }) {
    const numbered = (name, urls) => urls.map((url, index) => [`${name} ${index + 1}`, url]);
    const inputs = [["Photo", content], ...numbered("Style", styles), ...numbered("Mask", content_masks)];
    if (init_image) inputs.push(["Start image", init_image]);
    const thumbnail = ([alt, url]) => h("a", { href: url }, h("img", { src: `${url}?longest=256`, alt, loading: "lazy" }));
    return h("div.inputs", {}, inputs.map(thumbnail));
  }

  renderFacts({ recipe, progress, metrics, losses, attempt, urls }) {
    const size = h("span", {}, "…");
    if (urls.result) imageSize(urls.result).then((text) => setText(size, text ?? "–"));
    const facts = [
      urls.result && ["Size", size],
      ["Recipe", recipeSummary(recipe)],
      ["Steps", number(progress.current)],
      ["Render time", duration(metrics.run_seconds)],
      losses && ["Loss", `${number(losses.total)} (style ${number(losses.style)}, content ${number(losses.content)})`],
      attempt > 1 && ["Attempts", attempt],
    ];
    return h("dl.facts", {}, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  renderActions(job) {
    const { urls, id, losses } = job;
    const copyButton = (kind) => h("button.small", { type: "button", onclick: () => this.copy(kind, job) }, `Copy as ${kind}`);
    const links = h("div.actions", {},
      urls.result && h("a.button.primary", { href: urls.result, download: `easel-${id}.png` }, "Download"),
      h("a.button", { href: `/?rerun=${id}` }, "Edit and rerun"),
      urls.result && h("a.button", { href: `/?init_job=${id}` }, "Continue from this result"),
      (losses || urls.preview) && h("a.button", { href: `/?job=${id}` }, "Previews and loss"));
    const buttons = h("div.actions", {}, ["curl", "CLI", "Python"].map(copyButton), this.createDeleteButton(job));
    return [links, buttons];
  }

  /** A rerun follows the recipe, which does not say that the job was finished early. */
  renderEarlyNote({ stopped_early, state, stopped_at_step, progress }) {
    if (!stopped_early || state !== "succeeded") return null;
    const note = `A rerun does all ${progress.total} steps, unless you finish it early too.`;
    return h("p.muted", {}, `Finished early at step ${stopped_at_step} of ${progress.total}. ${note}`);
  }

  async copy(kind, job) {
    try {
      const { presets } = await call("/v1/recipes", { tries: 3 });
      await this.copyText(kind, snippets[kind](job, presets));
    } catch (error) {
      setText(this.status, error.message);
    }
  }

  async copyText(kind, text) {
    try {
      await navigator.clipboard.writeText(text);
      setText(this.status, `Copied as ${kind}.`);
    } catch {
      this.status.replaceChildren("The browser blocked copying. Select and copy this text:", h("pre", { tabindex: 0 }, text));
    }
  }

  /** The first click asks for confirmation, the second deletes. */
  createDeleteButton({ id, state }) {
    if (!["succeeded", "failed", "canceled"].includes(state)) return null;
    const onclick = () => {
      if (button.dataset.confirming) return this.delete(id);
      button.dataset.confirming = "true";
      setText(button, "Delete the job and its images?");
    };
    const button = h("button.small.danger", { type: "button", onclick }, "Delete");
    return button;
  }

  async delete(id) {
    try {
      await call(`/v1/jobs/${id}`, { method: "DELETE", tries: 3 }).catch(ignoreNotFound);
      this.dialog.close();
      this.onDelete(id);
    } catch (error) {
      setText(this.status, error.message);
    }
  }

  renderRecipe = ({ recipe }) => createDetails("Full recipe", h("pre", { tabindex: 0 }, JSON.stringify(recipe, null, 2)));

  renderIterations(url) {
    const list = h("p", {}, "Loading…");
    const link = ({ step, url: href }) => h("a", { href }, `Step ${number(step)}`);
    const load = async () => {
      try {
        const { iterations } = await call(url);
        list.replaceChildren(...iterations.flatMap((iteration) => [link(iteration), " "]));
      } catch (error) {
        setText(list, error.message);
      }
    };
    return createDetails("Saved iterations", list, load);
  }

  renderProvenance(url) {
    const text = h("pre", { tabindex: 0 }, "Loading…");
    const load = async () => setText(text, JSON.stringify(await call(url).catch((error) => error.message), null, 2));
    return createDetails("Provenance", text, load);
  }
}

/** The job is gone, also if the response to an earlier attempt was lost or another client was faster. */
function ignoreNotFound(error) {
  if (error.status !== 404) throw error;
}

function createDetails(title, content, onFirstOpen) {
  const node = h("details", {}, h("summary", {}, title), content);
  if (onFirstOpen) node.addEventListener("toggle", onFirstOpen, { once: true });
  return node;
}
