/** The images of a job for thumbnails, with a placeholder where there is none. */

import { fetchBlob } from "./api.js";
import { h } from "./dom.js";

const NO_IMAGE = "/assets/common/no-image.svg";

/** Whether the job's images can be read: not before they have been fetched from URLs, nor if that failed or was canceled. */
export const hasInputs = ({ urls }) => Boolean(urls.content);

/** The URL of the latest preview, or else of the photo at the size `longest`. */
export const thumbnailUrl = (job, longest) => job.urls.preview || (hasInputs(job) ? `${job.urls.content}?longest=${longest}` : NO_IMAGE);

/** Return an image that becomes the placeholder if it cannot be loaded. */
export const createThumbnail = (attributes) => h("img", { ...attributes, loading: "lazy", onerror: showPlaceholder });

function showPlaceholder({ target }) {
  if (!target.src.endsWith(NO_IMAGE)) target.src = NO_IMAGE;
}

/** Load the image again; its URL stays the same while its content changes. */
export async function reloadImage(image, url) {
  const data = await fetchBlob(url, { cache: "no-cache" }).catch(() => null);
  if (!data) return;
  image.onload = () => URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(data);
}
