/** The section "Masks and start image", which is loaded when it is first opened. */

import { $, loadStyles } from "../common/dom.js";
import { InitImage } from "./init-image.js";
import { CONTENT_MASKS, MaskInputs, STYLE_MASKS } from "./mask-inputs.js";

export class OptionalInputs {
  /** Build the section, once its style sheet is there. */
  static async load(images, parameters, onChange) {
    await loadStyles("/assets/studio/optional-inputs.css");
    return new OptionalInputs(images, parameters, onChange);
  }

  constructor(images, parameters, onChange) {
    Object.assign(this, { images, parameters });
    this.masks = new MaskInputs(CONTENT_MASKS, images, onChange);
    this.parts = new MaskInputs(STYLE_MASKS, images, onChange);
    this.init = new InitImage(() => (this.parameters.useInitImage(this.init.isSet), onChange()));
    this.inputs = { content_mask: this.masks, style_mask: this.parts, init_image: this.init, init_job: this.init };
    $("#optional").append(this.masks.node, this.parts.node, this.init.node);
  }

  /** Show the masks and the start image of a job: {file}, {job, url} or undefined. */
  show(masks, init) {
    this.masks.set(masks);
    this.parts.set([]); // a job's style images have no more than the part that was used
    this.init.set(init);
  }

  /** The error of a missing mask, or null. */
  get missing() {
    return this.masks.missing ?? this.parts.missing;
  }

  render() {
    this.masks.render();
    this.parts.render();
    this.images.showShares(!this.masks.files.length);
    this.clearErrors();
  }

  async fillForm(form) {
    await this.masks.fillForm(form);
    await this.parts.fillForm(form);
    await this.init.fillForm(form);
  }

  /** Show an error beside its field, and return the input to focus. */
  showError(text, field, number) {
    return this.inputs[field].showError(text, number);
  }

  clearErrors() {
    this.masks.clearErrors();
    this.parts.clearErrors();
    this.init.clearErrors();
  }
}
