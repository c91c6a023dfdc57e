/** The photo and the style images: choose, drop or paste them, set their shares, remove them. */

import { $, h, setText, showText, updateList } from "../common/dom.js";
import { percent } from "../common/format.js";
import { FORMATS, createDropzone, createImage } from "./dropzone.js";
import { appendUploads } from "./uploads.js";

const STYLE_HINT = "Add several to blend them";

export class ImageInputs {
  /** `onImages()` is called after every change of the images, `onChange()` after one of their weights. */
  constructor(onImages, onChange) {
    this.photo = null; // {file, url}
    this.styles = []; // {file, url, weight, key}
    Object.assign(this, { onImages, onChange });
    this.hasShares = true; // masks replace them
    this.dropzones = {
      content: createDropzone($("#content"), { name: "Photo", hint: FORMATS, onFiles: ([file]) => this.setPhoto(file) }),
      style: createDropzone($("#style"), { name: "Style image", hint: STYLE_HINT, onFiles: (files) => this.addStyles(files), multiple: true }),
    };
    addEventListener("paste", (event) => this.paste(event));
    for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => this.dropBeside(event));
    this.render();
  }

  get isComplete() {
    return Boolean(this.photo && this.styles.length);
  }

  /** The weights for the recipe, or undefined if they are all the same. */
  get styleMix() {
    const weights = this.styles.map((style) => style.weight);
    return weights.some((weight) => weight !== weights[0]) ? weights : undefined;
  }

  setPhoto(file) {
    if (this.photo) URL.revokeObjectURL(this.photo.url);
    this.photo = file ? { file, url: URL.createObjectURL(file) } : null;
    this.clearError("content");
    this.render();
  }

  /** Replace all style images. */
  setStyles(files, weights) {
    for (const { url } of this.styles) URL.revokeObjectURL(url);
    this.styles = [];
    this.addStyles(files, weights);
  }

  addStyles(files, weights = []) {
    for (const [index, file] of [...files].entries()) {
      const [key] = crypto.getRandomValues(new Uint32Array(1));
      this.styles.push({ file, url: URL.createObjectURL(file), weight: weights[index] ?? 1, key });
    }
    this.clearError("style");
    this.render();
  }

  removeStyle(style) {
    URL.revokeObjectURL(style.url);
    this.styles = this.styles.filter((other) => other !== style);
    this.clearError("style");
    this.render();
    $("#style input").focus();
  }

  /** Append the images so far, each of which the service checks. */
  async fillForm(form) {
    const { photo, styles } = this;
    if (photo) await appendUploads(form, "content", [photo.file]);
    await appendUploads(form, "style", styles.map(({ file }) => file));
  }

  showShares(hasShares) {
    if (this.hasShares === hasShares) return;
    this.hasShares = hasShares;
    this.renderStyles();
  }

  /** Show an error beside the photo ("content") or the style images ("style", of which `number` is one), and return the input to focus. */
  showError(text, field, number) {
    const isOneOfSeveral = field === "style" && number !== undefined && this.styles.length > 1;
    showText($(`#${field}-error`), isOneOfSeveral ? `Style ${number + 1}: ${text}` : text);
    $(`#${field} input`).setAttribute("aria-invalid", "true");
    return $(`#${field} input`);
  }

  /** Show an error beside each input without an image, unless it says already why a file was refused; return the first of these inputs. */
  showMissing() {
    const show = (text, field) => this.showError($(`#${field}-error`).textContent || text, field);
    const style = this.styles.length ? null : show("Add at least one style image.", "style");
    return this.photo ? style : show("Add a photo.", "content");
  }

  clearError(field) {
    showText($(`#${field}-error`), "");
    $(`#${field} input`).removeAttribute("aria-invalid");
  }

  clearErrors() {
    for (const field of ["content", "style"]) this.clearError(field);
  }

  paste(event) {
    const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || $("#compose").hidden) return;
    event.preventDefault();
    const optional = $("#optional .dropzone:is(:hover, :focus-within)");
    if (optional) optional.takeFiles(files);
    else this.take(files);
  }

  /** A file dropped beside the areas counts too: the browser would open it, and the form would be lost. */
  dropBeside(event) {
    if (event.defaultPrevented || $("#compose").hidden || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "drop") this.take([...event.dataTransfer.files]);
  }

  /** The first image is the photo, unless there is one; all others are styles. */
  take(files) {
    if (this.photo) $("#style").takeFiles(files);
    else if (files.length) ($("#content").takeFiles(files.slice(0, 1)), files.length > 1 && $("#style").takeFiles(files.slice(1)));
  }

  render() {
    const { content, style } = this.dropzones;
    if (this.shownPhoto !== this.photo) this.renderPhoto(content.area);
    setText(content.label, this.photo ? "Replace photo" : "Drop, paste or choose a photo");
    setText(style.label, this.styles.length ? "Add another" : "Drop, paste or choose a style image");
    this.renderStyles();
    this.onImages();
  }

  /** Show the style images in order, each with its share of all weights. */
  renderStyles() {
    const sum = this.styles.reduce((total, { weight }) => total + weight, 0);
    updateList($("#styles"), this.styles, ({ key }) => key, (style) => this.createTile(style), (tile, style) => {
      const number = this.styles.indexOf(style) + 1;
      const share = percent(sum ? Math.round((100 * style.weight) / sum) : 0);
      tile.weight.hidden = this.styles.length < 2 || !this.hasShares;
      setText(tile.share, share);
      tile.range.setAttribute("aria-valuetext", share);
      tile.range.setAttribute("aria-label", `Share of style ${number}`);
      $("button", tile.node).setAttribute("aria-label", `Remove style ${number}`);
    });
  }

  /** Show the photo; the dropzone takes its aspect ratio. */
  renderPhoto(area) {
    this.shownPhoto = this.photo;
    $("img, .no-preview", area)?.remove();
    area.classList.toggle("filled", Boolean(this.photo));
    if (!this.photo) return;
    const image = createImage(this.photo, "Your photo", () => area.classList.remove("filled"));
    image.onload = () => area.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    area.prepend(image);
  }

  createTile(style) {
    const share = h("b");
    const oninput = () => {
      style.weight = Number(range.value);
      this.renderStyles();
      this.onChange();
    };
    const range = h("input", { type: "range", min: 0, max: 3, step: 0.1, value: style.weight, oninput });
    const weight = h("label.weight", {}, h("span", {}, "Share", share), range);
    const remove = h("button.remove", { type: "button", onclick: () => this.removeStyle(style) }, "×");
    const thumbnail = h("div.thumbnail", {}, createImage(style, style.file.name || "Style image"), remove);
    return { node: h("li.tile", {}, thumbnail, weight), weight, share, range };
  }
}
