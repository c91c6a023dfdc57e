/** The image that a job starts from: a file, or the result of another job. */

import { h, setText, showText } from "../common/dom.js";
import { shortId } from "../common/format.js";
import { createImage } from "./dropzone.js";
import { ImageSlot } from "./image-slot.js";
import { appendUploads } from "./uploads.js";

const ABOUT = "The job starts from this image instead of patches, the photo or noise. It needs the photo’s shape.";

export class InitImage {
  constructor(onChange) {
    this.onChange = onChange;
    this.error = h("p.error", { id: "init_image-error", hidden: true });
    this.note = h("p.muted");
    const text = "Drop, paste or choose an image";
    const onFiles = ([file]) => this.set({ file });
    this.slot = new ImageSlot({ id: "init_image", name: "Start image", text, hint: "Such as an earlier result", onFiles, onRemove: () => this.set() });
    this.node = h("section", { "aria-label": "Start image" }, h("h3", {}, "Start image"), this.note, this.slot.node, this.error);
    this.set();
  }

  get isSet() {
    return Boolean(this.image);
  }

  /** Use a {file}, or the result of a {job} at `url`, which may have a `title`; undefined removes the image. */
  set(image) {
    if (this.image?.file) URL.revokeObjectURL(this.image.url);
    const changed = this.image !== image;
    this.image = image?.file ? { ...image, url: URL.createObjectURL(image.file) } : image;
    this.slot.show(this.image ? createImage(this.image, "Start image") : null);
    const source = image?.job ? `the result of ${image.title ? `“${image.title}”` : `job …${shortId(image.job)}`}` : "this image";
    setText(this.note, image ? `The job starts from ${source}.` : ABOUT);
    if (changed) this.onChange();
  }

  async fillForm(form) {
    if (this.image?.job) form.append("init_job", this.image.job);
    else if (this.image) await appendUploads(form, "init_image", [this.image.file]);
  }

  showError(text) {
    showText(this.error, text);
    this.slot.input.setAttribute("aria-invalid", "true");
    return this.slot.input;
  }

  clearErrors() {
    showText(this.error, "");
    this.slot.input.removeAttribute("aria-invalid");
  }
}
