/** Selected jobs: compare two of them, or delete them all. */

import { askFirst } from "../common/confirm-button.js";
import { deleteJob } from "../common/delete-job.js";
import { h, setText } from "../common/dom.js";
import { plural } from "../common/format.js";

export class Selection {
  /** `onDelete(id)` is called for each deleted job; `compare(jobs)` shows two jobs. */
  constructor(bar, onDelete, compare) {
    Object.assign(this, { bar, onDelete });
    this.cards = new Map(); // of the selected jobs, by ID, in the order of selection
    this.boxes = new Map();
    this.count = h("span", { role: "status" });
    this.compare = h("button.small", { type: "button", onclick: () => compare(this.jobs()) }, "Compare");
    this.remove = askFirst(h("button.small.danger", { type: "button" }, "Delete"), () => this.question, () => this.deleteAll());
    bar.append(this.count, this.compare, this.remove, h("button.small.quiet", { type: "button", onclick: () => this.clear() }, "Clear"));
    this.render();
  }

  jobs = () => [...this.cards.values()].map(({ job }) => job);

  /** `card.job` is the job, which may change. */
  createCheckbox(id, card, name) {
    const onchange = () => (box.checked ? this.cards.set(id, card) : this.cards.delete(id), this.render());
    const box = h("input.select", { type: "checkbox", "aria-label": `Select ${name}`, onchange });
    this.boxes.set(id, box);
    return box;
  }

  clear() {
    for (const id of this.cards.keys()) this.boxes.get(id).checked = false;
    this.cards.clear();
    this.render();
  }

  deselect(id) {
    if (!this.cards.delete(id)) return;
    this.boxes.get(id).checked = false;
    this.render();
  }

  get question() {
    return `Delete ${plural(this.cards.size, "job and its images", "jobs and their images")}?`;
  }

  render() {
    const count = this.cards.size;
    this.bar.hidden = !count;
    setText(this.count, `${count} selected`);
    this.compare.disabled = count !== 2;
    this.compare.title = count === 2 ? "" : "Select two jobs to compare them";
    const isActive = this.jobs().some(({ state }) => ["queued", "running"].includes(state));
    this.remove.disabled = isActive;
  }

  async deleteAll() {
    const ids = [...this.cards.keys()];
    const results = await Promise.allSettled(ids.map(deleteJob));
    ids.forEach((id, index) => results[index].status === "fulfilled" && this.onDelete(id));
    const failed = results.find(({ status }) => status === "rejected");
    if (failed) setText(this.count, `${plural(this.cards.size, "job")} not deleted. ${failed.reason.message}`);
  }
}
