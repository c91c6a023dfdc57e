/** Uploads each image once. Quotes and jobs refer to it by its ID, so a change of a control sends no image again. */

import { call } from "../common/api.js";

const REFUSED = [413, 415, 422];
let ids = new WeakMap(); // promises of IDs by file
let latest = Promise.resolve(); // one upload at a time: the service decodes few images of one client at once

/** Whether an error is the fault of one of the images: it would be refused again. */
export const isRefusal = ({ field, status }) => Boolean(field) && REFUSED.includes(status);

/** Forget all IDs, which expire a day after their last use. */
export function forgetUploads() {
  ids = new WeakMap();
}

/** Return the ID of a file as an image of the form's part `field`. Throws ApiError with that field and `number`. */
export async function uploadOnce(file, field, number) {
  if (!ids.has(file)) ids.set(file, (latest = latest.catch(() => {}).then(() => upload(file))));
  try {
    return await ids.get(file);
  } catch (error) {
    Object.assign(error, { field, number });
    if (!isRefusal(error)) ids.delete(file);
    throw error;
  }
}

async function upload(file) {
  const body = new FormData();
  body.append("image", file, file.name || "image");
  return (await call("/v1/images", { method: "POST", body, tries: 4 })).id;
}

/** Append the IDs of several files to a form, in order. */
export async function appendUploads(form, field, files) {
  for (const [number, file] of files.entries()) form.append(field, await uploadOnce(file, field, number));
}
