/** A link from a job to the batch that it was submitted with. */

import { call } from "../common/api.js";
import { h, setText } from "../common/dom.js";

/** Return a link that says which job of the batch it is, once that is known. */
export function createBatchLink({ id, batch }) {
  const link = h("a", { href: `/gallery?batch=${batch}` }, "Part of a batch");
  const show = ({ jobs }) => setText(link, `${jobs.indexOf(id) + 1} of ${jobs.length} in a batch`);
  call(`/v1/batches/${batch}`).then(show, () => {}); // the link works without it
  return link;
}
