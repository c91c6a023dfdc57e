/** Two jobs in a dialog: their pictures over each other, and the parameters in which they differ. */

import { Comparison } from "../common/comparison.js";
import { h } from "../common/dom.js";
import { fieldName, jobName } from "../common/format.js";
import { thumbnailUrl } from "../common/job-images.js";
import { differences, valueText } from "../common/recipe-changes.js";

const picture = (job) => job.urls.result || thumbnailUrl(job, 1024);

export function showComparison(dialog, [one, other]) {
  const comparison = new Comparison(picture(one), "first");
  comparison.setSize(Math.max(one.recipe.size, other.recipe.size));
  comparison.show(picture(other), "Second picture", true).then(() => comparison.setSplit(50));
  const rows = [["preset", one.recipe.preset, other.recipe.preset], ...differences(one.recipe, other.recipe)].filter(([, first, second]) => first !== second);
  const cell = (tag, ...content) => h(tag, {}, ...content);
  const table = h("table", {},
    h("thead", {}, h("tr", {}, cell("th", "Parameter"), cell("th", "First"), cell("th", "Second"))),
    h("tbody", {}, rows.map(([name, first, second]) => h("tr", {}, cell("td", fieldName(name)), cell("td", valueText(first)), cell("td", valueText(second))))));
  const close = h("button.remove", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  dialog.replaceChildren(close, h("h2", { id: "detail-title" }, "Compare"), comparison.node,
    h("p.muted.compared", {}, `First: ${jobName(one)}. Second: ${jobName(other)}.`),
    rows.length ? h("div.table-scroll", {}, table) : h("p", {}, "Both have the same recipe."));
  dialog.showModal();
}
