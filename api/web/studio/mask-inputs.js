/** Masks, one gray image for each style, painted or chosen. Of the photo: where each style applies. Of the styles: what is used of them. */

import { h, setText, showText, updateList } from "../common/dom.js";
import { NO_PREVIEW, createImage } from "./dropzone.js";
import { ImageSlot } from "./image-slot.js";
import { createWhiteMask, drawMask, paintMask } from "./mask-painter.js";
import { appendUploads } from "./uploads.js";

const ABOUT_ONE = "Paint where the style applies; elsewhere the photo remains. In a mask file, white is painted.";
const ABOUT_SEVERAL = "Paint where each style applies; where none does, the photo remains. In a mask file, white is painted.";
const ABOUT_LABELS = "Each style applies to one color of the label image, in order from dark to bright.";
const ABOUT_PARTS = "Paint the part of a style image to use; without a mask, all of it is used. In a mask file, white is painted.";
const PREVIEW_SIZE = 320; // longest side in pixels
const NO_PICTURE = "This browser can’t show the picture, so a mask can’t be painted. Choose one.";

export const CONTENT_MASKS = {
  field: "content_mask",
  id: "masks",
  title: "Masks",
  hint: "Paint where the style applies.",
  nameOf: (number) => `Mask of style ${number}`,
  pictureOf: (style, { photo }) => photo,
  isReady: ({ photo, styles }) => Boolean(photo && styles.length),
  missing: "Add a photo and a style image first.",
};
export const STYLE_MASKS = {
  field: "style_mask",
  id: "style-masks",
  title: "Parts of the style images",
  hint: "Paint the part of the style image to use.",
  nameOf: (number) => `Part of style ${number}`,
  pictureOf: (style) => style,
  isReady: ({ styles }) => styles.length > 0,
  missing: "Add a style image first.",
  isOptional: true, // for each style
};

export class MaskInputs {
  constructor(kind, images, onChange) {
    Object.assign(this, { kind, images, onChange });
    this.masks = new Map(); // files by key of the style
    this.whiteMasks = new Map(); // for styles whose mask is missing beside others; null while it is made
    this.labels = null; // the label image
    this.about = h("p.muted");
    this.list = h("ul.plain.masks", { id: kind.id });
    this.error = h("p.error", { id: `${kind.field}-error`, hidden: true });
    this.labelSlot = this.createSlot(`${kind.id}-labels`, "Label image", "Or one label image", "A flat color for each style", (file) => (this.labels = file));
    this.grid = h("div.style-grid", {}, this.list, kind.isOptional ? null : this.labelSlot.node);
    this.node = h("section", { "aria-label": kind.title }, h("h3", {}, kind.title), this.about, this.grid, this.error);
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
    if (!styles.some(({ key }) => this.masks.has(key))) return [];
    const files = styles.map(({ key }) => this.masks.get(key) ?? this.whiteMasks.get(key)).filter(Boolean);
    return files.length === styles.length ? files : [];
  }

  get usesLabels() {
    return Boolean(this.labels) && this.images.styles.length > 1;
  }

  /** The error of a style without a mask, if others have one; else null. */
  get missing() {
    const has = this.images.styles.map(({ key }) => this.masks.has(key));
    if (this.usesLabels || !has.includes(true) || this.files.length) return null;
    return { message: "Paint or choose this mask too, or remove the others.", field: this.kind.field, number: has.indexOf(false) };
  }

  /** Make a white mask for each style that lacks one beside others. */
  async complete() {
    const { styles } = this.images;
    if (!this.kind.isOptional || !styles.some(({ key }) => this.masks.has(key))) return;
    const lacking = styles.filter(({ key }) => !this.masks.has(key) && !this.whiteMasks.has(key));
    if (!lacking.length) return;
    for (const { key } of lacking) this.whiteMasks.set(key, null);
    await Promise.all(lacking.map(async ({ key, file }) => this.whiteMasks.set(key, await createWhiteMask(file).catch(() => null))));
    this.onChange();
  }

  fillForm = (form) => appendUploads(form, this.kind.field, this.files);

  render() {
    const { styles } = this.images;
    const isReady = this.kind.isReady(this.images);
    setText(this.about, isReady ? this.aboutText() : this.kind.missing);
    this.grid.hidden = !isReady;
    if (!isReady) return;
    updateList(this.list, this.usesLabels ? [] : styles, ({ key }) => key, (style) => this.createTile(style), (tile, style) => {
      const name = this.kind.nameOf(styles.indexOf(style) + 1);
      tile.slot.rename(name);
      setText(tile.paint, this.masks.has(style.key) ? "Edit" : "Paint");
      tile.paint.setAttribute("aria-label", `${tile.paint.textContent} the ${name.toLowerCase()}`);
      this.showMask(tile, this.masks.get(style.key), style);
    });
    const hasMask = styles.some(({ key }) => this.masks.has(key));
    this.labelSlot.node.hidden = styles.length < 2 || (!this.labels && hasMask);
    this.showMask({ slot: this.labelSlot }, this.labels);
    this.complete();
  }

  aboutText() {
    if (this.kind.isOptional) return ABOUT_PARTS;
    return this.images.styles.length < 2 ? ABOUT_ONE : this.usesLabels ? ABOUT_LABELS : ABOUT_SEVERAL;
  }

  createTile(style) {
    const setFile = (file) => (file ? this.masks.set(style.key, file) : this.masks.delete(style.key));
    const slot = this.createSlot(`${this.kind.id}-${style.key}`, "Mask", "Drop or choose a mask", "Or paint it", setFile);
    const onclick = async () => {
      const { kind, images } = this;
      const number = images.styles.indexOf(style);
      const options = { title: kind.nameOf(number + 1), hint: kind.hint, region: number };
      const file = await paintMask(kind.pictureOf(style, images), this.masks.get(style.key), options).catch(() => NO_PICTURE);
      if (file === NO_PICTURE) return this.showError(NO_PICTURE, number);
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
    return new ImageSlot({ id, errorId: `${this.kind.field}-error`, name, text, hint, onFiles: ([file]) => change(file), onRemove: () => change(null) });
  }

  /** Show a mask over its picture, unless it is already shown; one without a style is the label image. */
  showMask({ slot }, file, style) {
    const picture = this.kind.pictureOf(style, this.images);
    const region = this.images.styles.indexOf(style);
    if (slot.shown?.file === file && slot.shown?.picture === picture && slot.shown?.region === region) return;
    slot.shown = { file, picture, region };
    slot.show(file ? h("div", {}, h("img", { src: picture.url, alt: "" }), style ? createOverlay(file, region) : createLabels(file)) : null);
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

function createOverlay(file, region) {
  const canvas = h("canvas", { role: "img", "aria-label": "Mask over the photo" });
  drawMask(canvas, file, region, PREVIEW_SIZE).catch(() => canvas.replaceWith(h("p.no-preview", { role: "alert" }, NO_PREVIEW)));
  return canvas;
}

function createLabels(file) {
  const image = createImage({ url: URL.createObjectURL(file) }, "Label image over the photo");
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}
