/** Areas that take image files: chosen, dropped or pasted. */

import { $, h, showText } from "../common/dom.js";

const ACCEPT = "image/jpeg,image/png,image/webp,image/gif,image/tiff,image/heic,image/heif,image/avif,.heic,.heif";
export const NO_PREVIEW = "This browser can’t show this file. If it is a TIFF or HEIC, you can still use it.";
export const FORMATS = "JPEG, PNG, WebP, GIF, TIFF, HEIC or AVIF";
const NO_FILE = "That is a link or a text, not a file. Save the picture first, then drop the file.";

/**
 * Fill the element `area` with a labeled file input that also accepts dropped files. Errors are shown in #<errorId>.
 * `area.takeFiles(files)` takes pasted ones.
 */
export function createDropzone(area, { name, hint, onFiles, multiple = false, id = area.id, errorId = `${id}-error` }) {
  const onchange = () => area.takeFiles(input.files);
  const attributes = { id: `${id}-file`, type: "file", accept: ACCEPT, multiple, onchange };
  const input = h("input.visually-hidden", { ...attributes, "aria-describedby": errorId });
  const label = h("span");
  const title = h("span.visually-hidden", {}, `${name}: `);
  area.takeFiles = (files) => {
    const images = [...files].filter((file) => file.type.startsWith("image/") || !file.type);
    if (images.length) onFiles(images);
    else if (files.length) showText($(`#${errorId}`), `Not an image. Use ${FORMATS}.`);
    input.value = "";
  };
  const takeDropped = ({ files, types }) => (files.length || !types.length ? area.takeFiles(files) : showText($(`#${errorId}`), NO_FILE));
  const hintText = h("small.muted", {}, hint);
  area.append(h("label", { for: `${id}-file` }, title, label, hintText), input);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    area.addEventListener(kind, (event) => {
      event.preventDefault();
      area.classList.toggle("dragover", kind === "dragover");
      if (kind === "drop") takeDropped(event.dataTransfer);
    });
  }
  return { area, title, label, input };
}

/** Return an image that a text replaces if the browser cannot show the file; the API accepts more formats, such as HEIC. */
export function createImage({ url }, alt, onUnsupported = () => {}) {
  const image = h("img", { src: url, alt, onerror });
  return image;

  function onerror() {
    if (!image.isConnected) return; // another image was chosen
    image.replaceWith(h("p.no-preview", { role: "alert" }, NO_PREVIEW));
    onUnsupported();
  }
}
