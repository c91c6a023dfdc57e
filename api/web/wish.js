/** Wishes that end a job. */

import { call } from "./api.js";

const END = { cancel: "canceled", finish: "succeeded" };

/**
 * The job after `wish`. Where the answer was lost, the same wish comes again to a job that has ended of it: it is
 * refused, yet granted. Raises Problem.
 */
export async function wished(wish, path) {
  try {
    return await call(`${path}/${wish}`, { method: "POST", tries: 5 });
  } catch (problem) {
    const job = problem.code === "wrong_state" && (await call(path).catch(() => null));
    if (job?.state === END[wish]) return job;
    throw problem;
  }
}
