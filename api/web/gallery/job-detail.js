/** One ended job in a dialog: the result over its photo, its inputs, facts and recipe, and ways to run it again. */

import { call } from "../common/api.js";
import { Comparison } from "../common/comparison.js";
import { createDeleteButton, deleteJob } from "../common/delete-job.js";
import { h, imageSize, setText } from "../common/dom.js";
import { dateTime, duration, fieldName, number, recipeSummary, stateName } from "../common/format.js";
import { createThumbnail, hasInputs } from "../common/job-images.js";
import { differences, valueText } from "../common/recipe-changes.js";
import { createBatchLink } from "../job/batch-link.js";
import { createResultActions } from "../job/result-actions.js";
import { createStar } from "./favorites.js";

export class JobDetail {
  /** `onDelete(id)` is called after a job was deleted. */
  constructor(dialog, onDelete) {
    Object.assign(this, { dialog, onDelete });
  }

  /** Show a job. `presets` are used to say in which parameters it differs from its own. */
  open(job, presets) {
    const { urls } = job;
    this.presets = presets;
    const comparison = new Comparison(hasInputs(job) ? `${urls.content}?longest=1024` : null);
    comparison.setSize(job.recipe.size);
    const image = urls.result || urls.preview;
    if (image) comparison.show(image, `${urls.result ? "Result" : "Last preview"}, ${recipeSummary(job.recipe)}`, true);
    const close = h("button.remove", { type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "×");
    this.status = h("p.muted", { role: "status" });
    this.dialog.replaceChildren(close, h("div.columns", {}, h("div", {}, comparison.node, urls.result && createResultActions(job)), this.renderSidebar(job)));
    if (!this.dialog.open) this.dialog.showModal();
  }

  renderSidebar(job) {
    const { urls, metadata: { title } } = job;
    const state = `${stateName(job)}, ${dateTime(job.created_at)}`;
    return h("div.sidebar", {},
      h("div.title", {}, createStar(job.id), h("h2", { id: "detail-title" }, title || state)),
      title && h("p.muted", {}, state),
      job.batch && h("p", {}, createBatchLink(job)),
      job.error && h("p.error", {}, job.error.detail),
      hasInputs(job) && this.renderInputs(urls),
      this.renderFacts(job),
      this.renderChanges(job),
      this.renderActions(job),
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
    const thumbnail = ([alt, url]) => h("a", { href: url }, createThumbnail({ src: `${url}?longest=256`, alt }));
    return h("div.inputs", {}, inputs.map(thumbnail));
  }

  renderFacts({ recipe, progress, metrics, losses, attempt, urls }) {
    const size = h("span", {}, "…");
    if (urls.result) imageSize(urls.result).then((text) => setText(size, text ?? "–"));
    const facts = [
      urls.result && ["Result size", size],
      ["Recipe", recipeSummary(recipe)],
      ["Steps done", number(progress.current)],
      ["Render time", duration(metrics.run_seconds)],
      losses && ["Loss", `${number(losses.total)} (style ${number(losses.style)}, content ${number(losses.content)})`],
      attempt > 1 && ["Attempts", attempt],
    ];
    return h("dl.facts", {}, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  /** The parameters that differ from the preset, and the labels that the client gave the job. */
  renderChanges({ recipe, metadata: { title, ...labels } }) {
    const preset = this.presets[recipe.preset];
    const changes = preset ? differences(recipe, preset) : [];
    const rows = changes.map(([name, value, standard]) => [fieldName(name), h("mark", {}, valueText(value)), h("span.muted", {}, ` instead of ${valueText(standard)}`)]);
    rows.push(...Object.entries(labels).map(([name, value]) => [name, value]));
    return rows.length ? h("dl.facts", {}, rows.map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null;
  }

  renderActions(job) {
    const { urls, id, losses, state } = job;
    return h("div.actions", {},
      hasInputs(job) && h("a.button", { href: `/?rerun=${id}` }, "Edit and rerun"),
      urls.result && h("a.button", { href: `/?init_job=${id}` }, "Continue from this result"),
      (losses || urls.preview || urls.cancel) && h("a.button", { href: `/?job=${id}` }, urls.cancel ? "Live view" : "Previews and loss"),
      ["succeeded", "failed", "canceled"].includes(state) && createDeleteButton(() => this.delete(id)));
  }

  /** A rerun follows the recipe, which does not say that the job was finished early. */
  renderEarlyNote({ stopped_early, state, stopped_at_step, progress }) {
    if (!stopped_early || state !== "succeeded") return null;
    const note = `A rerun does all ${progress.total} steps, unless you finish it early too.`;
    return h("p.muted", {}, `Finished early at step ${stopped_at_step} of ${progress.total}. ${note}`);
  }

  async delete(id) {
    try {
      await deleteJob(id);
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

function createDetails(title, content, onFirstOpen) {
  const node = h("details", {}, h("summary", {}, title), content);
  if (onFirstOpen) node.addEventListener("toggle", onFirstOpen, { once: true });
  return node;
}
