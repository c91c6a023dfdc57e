/** A dropzone for one optional image, which shows it and can remove it. */

import { $, h, setText } from "../common/dom.js";
import { createDropzone } from "./dropzone.js";

export class ImageSlot {
  /** `name` is that of the input; `text` invites to fill the empty slot. `onRemove()` is called by the button. */
  constructor({ id, errorId, name, text, hint, onFiles, onRemove }) {
    this.text = text;
    this.node = h("div.dropzone.slot", { id });
    Object.assign(this, createDropzone(this.node, { name, hint, onFiles, errorId }));
    this.remove = h("button.remove", { type: "button", onclick: () => (onRemove(), this.input.focus()) }, "×");
    this.rename(name);
    this.show(null);
  }

  rename(name) {
    setText(this.title, `${name}: `);
    this.remove.setAttribute("aria-label", `Remove ${name.toLowerCase()}`);
  }

  /** Show an element as the image; null empties the slot. */
  show(image) {
    $(".layers", this.node)?.remove();
    this.remove.remove();
    this.node.classList.toggle("set", Boolean(image));
    setText(this.label, image ? "Replace" : this.text);
    if (image) this.node.append(h("div.layers", {}, image), this.remove);
  }
}
