/** One finished job, close up: the picture against its photo, how it came about, how to have it again. */

import { call } from "./api.js";
import { h, tell } from "./dom.js";
import { STATES, duration, number, recipeLine, when } from "./format.js";
import { Easel } from "./slider.js";
import { snippets } from "./snippets.js";

export class Detail {
  /** `gone(id)` hears of a deletion. */
  constructor(dialog, gone) {
    Object.assign(this, { dialog, gone });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  open(job) {
    const { urls } = job;
    const easel = new Easel(`${urls.content}?longest=1024`);
    const shown = urls.result || urls.preview;
    if (shown) easel.show(shown, `The picture, ${recipeLine(job.recipe)}`, true);
    const close = h("button.remove", { type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "×");
    this.said = h("p.soft", { role: "status" });
    this.dialog.replaceChildren(close, h("div.atelier", {}, h("div.wall", {}, easel.node), this.side(job)));
    if (!this.dialog.open) this.dialog.showModal();
  }

  side(job) {
    const { urls } = job;
    return h("div.side", {},
      h("h2", { id: "detail-title" }, `${STATES[job.state]}, ${when(job.created_at)}`),
      job.error && h("p.wrong", {}, job.error.detail),
      this.inputs(urls),
      this.facts(job),
      ...this.acts(job),
      this.cut(job),
      this.said,
      this.recipe(job),
      urls.provenance && this.provenance(urls.provenance));
  }

  inputs({ content, styles }) {
    const named = [["The photo", content], ...styles.map((url, at) => [`Style ${at + 1}`, url])];
    const small = ([alt, url]) => h("a", { href: url }, h("img", { src: `${url}?longest=256`, alt, loading: "lazy" }));
    return h("div.inputs", {}, named.map(small));
  }

  facts({ recipe, progress, metrics, losses, attempt }) {
    const rows = [
      ["Recipe", recipeLine(recipe)],
      ["Steps done", number(progress.current)],
      ["Painted for", duration(metrics.run_seconds)],
      losses && ["Loss", `${number(losses.total)} (style ${number(losses.style)}, content ${number(losses.content)})`],
      attempt > 1 && ["Claims", attempt],
    ];
    return h("dl.facts", {}, rows.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  acts(job) {
    const { urls, id } = job;
    const copier = (kind) => h("button.small", { type: "button", onclick: () => this.copy(kind, job) }, `Copy as ${kind}`);
    const great = h("div.acts", {},
      urls.result && h("a.button.primary", { href: urls.result, download: `easel-${id}.png` }, "Download"),
      h("a.button", { href: `/?again=${id}` }, "Do it again with …"),
      h("a.button", { href: `/?job=${id}` }, "Film and curves"));
    const little = h("div.acts", {}, ["curl", "CLI", "Python"].map(copier), this.remover(job));
    return [great, little];
  }

  /** The recipe asks for all the steps, and does not tell of a finger on the button. */
  cut({ state, stopped_early: early, stopped_at_step: step, recipe }) {
    if (!early || state !== "succeeded") return null;
    const again = "Done again, it will be painted to the end unless you finish it there, too.";
    return h("p.soft", {}, `It was finished early, at step ${step} of ${recipe.steps}. ${again}`);
  }

  async copy(kind, job) {
    try {
      const { presets } = await call("/v1/recipes", { tries: 3 });
      await this.give(kind, snippets[kind](job, presets));
    } catch (error) {
      tell(this.said, error.message);
    }
  }

  async give(kind, text) {
    try {
      await navigator.clipboard.writeText(text);
      tell(this.said, `Copied as ${kind}.`);
    } catch {
      this.said.replaceChildren(`The browser does not let this page copy; here it is: `, h("pre", { tabindex: 0 }, text));
    }
  }

  /** Asks once more before it deletes. */
  remover({ id, state }) {
    if (!["succeeded", "failed", "canceled"].includes(state)) return null;
    const button = h("button.small.danger", { type: "button", onclick: act }, "Delete");
    const self = this;
    return button;
    async function act() {
      if (!button.dataset.sure) return (button.dataset.sure = "yes"), tell(button, "Really delete it, with all its pictures?");
      try {
        await call(`/v1/jobs/${id}`, { method: "DELETE", tries: 3 }).catch(unlessGone);
        self.dialog.close();
        self.gone(id);
      } catch (error) {
        tell(self.said, error.message);
      }
    }
  }

  recipe = ({ recipe }) => unfolded("The whole recipe", h("pre", { tabindex: 0 }, JSON.stringify(recipe, null, 2)));

  provenance(url) {
    const text = h("pre", { tabindex: 0 }, "…");
    const load = async () => tell(text, JSON.stringify(await call(url).catch((error) => error.message), null, 2));
    return unfolded("Provenance", text, load);
  }
}

/** Deleted it is, too, where the answer to that was lost or somebody else was faster. */
function unlessGone(problem) {
  if (problem.status !== 404) throw problem;
}

function unfolded(title, content, load) {
  const node = h("details", {}, h("summary", {}, title), content);
  if (load) node.addEventListener("toggle", load, { once: true });
  return node;
}
