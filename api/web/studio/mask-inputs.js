/** Masks: one gray image for each style, painted or chosen; or one label image for all of them. */

import { h, setText, showText, updateList } from "../common/dom.js";
import { NO_PREVIEW, createImage } from "./dropzone.js";
import { ImageSlot } from "./image-slot.js";
import { drawMask, paintMask } from "./mask-painter.js";

const ABOUT_ONE = "The style applies where its mask is white; where it is black, the photo remains.";
const ABOUT_SEVERAL = "Each style applies where its mask is white; where all masks are black, the photo remains.";
const ABOUT_LABELS = "Each style applies to one color of the label image, in order from dark to bright.";
const PREVIEW_SIZE = 320; // longest side in pixels
const NO_PHOTO = "This browser can’t show the photo, so a mask can’t be painted. Choose one.";

export class MaskInputs {
  constructor(images, onChange) {
    Object.assign(this, { images, onChange });
    this.masks = new Map(); // files by key of the style
    this.labels = null; // the label image
    this.about = h("p.muted");
    this.list = h("ul.plain", { id: "masks" });
    this.error = h("p.error", { id: "content_mask-error", hidden: true });
    this.labelSlot = this.createSlot("labels", "Label image", "Or one label image", "A flat color for each style", (file) => (this.labels = file));
    this.grid = h("div.style-grid", {}, this.list, this.labelSlot.node);
    this.node = h("section", { "aria-label": "Masks" }, h("h3", {}, "Masks"), this.about, this.grid, this.error);
  }

  /** Use these files, one for each style; none removes all masks. */
  set(files) {
    this.labels = null;
    this.masks = new Map(files.map((file, index) => [this.images.styles[index]?.key, file]));
    this.onChange();
  }

  /** The files to send: none while a style lacks its mask. */
  get files() {
    const { styles } = this.images;
    if (this.usesLabels) return [this.labels];
    const files = styles.map(({ key }) => this.masks.get(key)).filter(Boolean);
    return files.length === styles.length ? files : [];
  }

  get usesLabels() {
    return Boolean(this.labels) && this.images.styles.length > 1;
  }

  /** The error of a style without a mask, if others have one; else null. */
  get missing() {
    const has = this.images.styles.map(({ key }) => this.masks.has(key));
    if (this.usesLabels || !has.includes(true) || !has.includes(false)) return null;
    const number = has.indexOf(false);
    return { message: "Paint or choose this mask too, or remove the others.", field: "content_mask", number };
  }

  fillForm(form) {
    for (const file of this.files) form.append("content_mask", file, file.name || "mask.png");
  }

  render() {
    const { photo, styles } = this.images;
    const isReady = Boolean(photo && styles.length);
    const about = styles.length < 2 ? ABOUT_ONE : this.usesLabels ? ABOUT_LABELS : ABOUT_SEVERAL;
    setText(this.about, isReady ? about : "Add a photo and a style image first.");
    this.grid.hidden = !isReady;
    if (!isReady) return;
    updateList(this.list, this.usesLabels ? [] : styles, ({ key }) => key, (style) => this.createTile(style), (tile, style) => {
      const number = styles.indexOf(style) + 1;
      tile.slot.rename(`Mask of style ${number}`);
      setText(tile.paint, this.masks.has(style.key) ? "Edit" : "Paint");
      tile.paint.setAttribute("aria-label", `${tile.paint.textContent} the mask of style ${number}`);
      this.showMask(tile, this.masks.get(style.key));
    });
    this.labelSlot.node.hidden = styles.length < 2 || (!this.labels && styles.some(({ key }) => this.masks.has(key)));
    this.showMask({ slot: this.labelSlot }, this.labels);
  }

  createTile(style) {
    const setFile = (file) => (file ? this.masks.set(style.key, file) : this.masks.delete(style.key));
    const slot = this.createSlot(`mask-${style.key}`, "Mask", "Drop or choose a mask", "Or paint it", setFile);
    const onclick = async () => {
      const { photo, styles } = this.images;
      const number = styles.indexOf(style);
      const file = await paintMask(photo, this.masks.get(style.key), `Mask of style ${number + 1}`).catch(() => NO_PHOTO);
      if (file === NO_PHOTO) return this.showError(NO_PHOTO, number);
      if (file === undefined) return; // canceled
      setFile(file);
      this.onChange();
    };
    const paint = h("button.small", { type: "button", onclick });
    const thumbnail = h("img", { src: style.url, alt: "" });
    return { node: h("li.tile", {}, slot.node, h("div.row", {}, thumbnail, paint)), slot, paint };
  }

  createSlot(id, name, text, hint, setFile) {
    const change = (file) => (setFile(file), this.onChange());
    return new ImageSlot({ id, errorId: "content_mask-error", name, text, hint, onFiles: ([file]) => change(file), onRemove: () => change(null) });
  }

  /** Show a mask over the photo, unless it is already shown. */
  showMask({ slot }, file) {
    const { photo } = this.images;
    if (slot.shown?.file === file && slot.shown?.photo === photo) return;
    slot.shown = { file, photo };
    slot.show(file ? h("div", {}, h("img", { src: photo.url, alt: "" }), slot === this.labelSlot ? createLabels(file) : createOverlay(file)) : null);
  }

  /** Show an error, of the mask with this number if there are several, and return the input to focus. */
  showError(text, number = 0) {
    const { styles } = this.images;
    showText(this.error, styles.length > 1 && !this.usesLabels ? `Style ${number + 1}: ${text}` : text);
    const slot = this.usesLabels ? this.labelSlot : this.list.entries.get(styles[number].key).slot;
    slot.input.setAttribute("aria-invalid", "true");
    return slot.input;
  }

  clearErrors() {
    showText(this.error, "");
    for (const input of this.node.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }
}

function createOverlay(file) {
  const canvas = h("canvas", { role: "img", "aria-label": "Mask over the photo" });
  drawMask(canvas, file, PREVIEW_SIZE).catch(() => canvas.replaceWith(h("p.no-preview", { role: "alert" }, NO_PREVIEW)));
  return canvas;
}

function createLabels(file) {
  const image = createImage({ url: URL.createObjectURL(file) }, "Label image over the photo");
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}
