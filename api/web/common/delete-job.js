/** Delete an ended job. */

import { call, ignoreNotFound } from "./api.js";
import { askFirst } from "./confirm-button.js";
import { h } from "./dom.js";

/** Delete a job. It may be gone already: an earlier response was lost, or another client was faster. Throws ApiError. */
export const deleteJob = (id) => call(`/v1/jobs/${id}`, { method: "DELETE", tries: 3 }).catch(ignoreNotFound);

/** Return a button that asks and then calls `act()`. */
export const createDeleteButton = (act) => askFirst(h("button.quiet.danger", { type: "button" }, "Delete"), "Delete the job and its images?", act);
