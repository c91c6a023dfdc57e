/** Cancel a job or finish it early. */

import { call } from "./api.js";

const END_STATES = { cancel: "canceled", finish: "succeeded" };

/**
 * Request `action` ("cancel" or "finish") for the job at `path`, and return the job. If the first response was lost, the
 * retry may be refused because the job has ended; that counts as success if the job ended as requested. Throws ApiError.
 */
export async function requestControl(path, action) {
  try {
    return await call(`${path}/${action}`, { method: "POST", tries: 5 });
  } catch (error) {
    const job = error.code === "wrong_state" && (await call(path).catch(() => null));
    if (job?.state === END_STATES[action]) return job;
    throw error;
  }
}
