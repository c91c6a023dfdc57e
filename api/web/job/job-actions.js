/** The buttons of a job: finish or cancel it while it is active; repeat it, continue from its result or delete it afterwards. */

import { askFirst } from "../common/confirm-button.js";
import { requestControl } from "../common/control-requests.js";
import { createDeleteButton, deleteJob } from "../common/delete-job.js";
import { h, setText, showText } from "../common/dom.js";
import { hasInputs } from "../common/job-images.js";

export class JobActions {
  /** `onJob(job)` gets the job after a request, `onError(text)` why one was refused, or "" before the next; `onDelete()` is called after the job was deleted. */
  constructor(id, { onJob, onError, onDelete }) {
    Object.assign(this, { id, onJob, onError, onDelete });
    this.finish = h("button", { type: "button", "aria-describedby": "finish-note", onclick: () => this.request("finish", this.finish) }, "Finish now");
    this.finishNote = h("p.muted", { id: "finish-note", hidden: true });
    this.cancel = askFirst(h("button", { type: "button" }, "Cancel"), "Really cancel?", () => this.request("cancel", this.cancel));
    this.rerun = h("a.button", { href: `/?rerun=${id}`, hidden: true }, "Edit and rerun");
    this.continue = h("a.button", { href: `/?init_job=${id}`, hidden: true }, "Continue from this result");
    this.remove = createDeleteButton(() => this.delete());
    const newImage = h("a.button.quiet", { href: "/" }, "New image");
    this.node = h("div", {}, h("div.actions", {}, this.finish, this.cancel, this.rerun, this.continue, newImage, this.remove), this.finishNote);
  }

  render(job, hasEnded) {
    const { state, urls, finish_requested_at: finishing, cancel_requested_at: canceling, progress, recipe } = job;
    const now = progress.phase.match(/(\d+) px/)?.[1];
    const size = now < recipe.size ? `: ${now} px instead of ${recipe.size} px` : "";
    this.finish.hidden = this.cancel.hidden = hasEnded;
    this.finish.disabled = !urls.finish || Boolean(finishing || canceling);
    this.cancel.disabled = !urls.cancel || Boolean(canceling);
    const note = urls.finish ? `Finish now stops the job and keeps its current image${size}.` : "Finish now is possible after the first step.";
    showText(this.finishNote, state === "running" ? note : "");
    const pending = (action) => (job.acknowledged_at ? `${action}…` : `${action} after this step…`);
    setText(this.finish, finishing ? pending("Finishing") : "Finish now");
    if (!this.cancel.isAsking) setText(this.cancel, canceling ? pending("Canceling") : "Cancel");
    this.rerun.hidden = !hasEnded || !hasInputs(job);
    this.continue.hidden = !urls.result;
    this.remove.hidden = !hasEnded;
  }

  async request(action, button) {
    button.disabled = true;
    this.onError("");
    try {
      this.onJob(await requestControl(`/v1/jobs/${this.id}`, action));
    } catch (error) {
      this.onError(error.message);
    }
  }

  async delete() {
    this.onError("");
    try {
      await deleteJob(this.id);
      this.onDelete();
    } catch (error) {
      this.onError(error.message);
    }
  }
}
