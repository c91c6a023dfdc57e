/** The section "Masks and start image", which is loaded when it is first opened. */

import { $, loadStyles } from "../common/dom.js";
import { InitImage } from "./init-image.js";
import { MaskInputs } from "./mask-inputs.js";

export class OptionalInputs {
  /** Build the section, once its style sheet is there. */
  static async load(images, parameters, onChange) {
    await loadStyles("/assets/studio/optional-inputs.css");
    return new OptionalInputs(images, parameters, onChange);
  }

  constructor(images, parameters, onChange) {
    Object.assign(this, { images, parameters });
    this.masks = new MaskInputs(images, onChange);
    this.init = new InitImage(() => (this.parameters.useInitImage(this.init.isSet), onChange()));
    $("#optional").append(this.masks.node, this.init.node);
  }

  /** Show the masks and the start image of a job: {file}, {job, url} or undefined. */
  show(masks, init) {
    this.masks.set(masks);
    this.init.set(init);
  }

  render() {
    this.masks.render();
    this.images.showShares(!this.masks.files.length);
    this.clearErrors();
  }

  fillForm(form) {
    this.masks.fillForm(form);
    this.init.fillForm(form);
  }

  /** Show an error beside its field, and return the input to focus. */
  showError(text, field, number) {
    return field === "content_mask" ? this.masks.showError(text, number) : this.init.showError(text);
  }

  clearErrors() {
    this.masks.clearErrors();
    this.init.clearErrors();
  }
}
