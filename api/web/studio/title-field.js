/** The title of the picture, suggested from the names of the image files until somebody types another. */

import { h } from "../common/dom.js";
import { words } from "../common/format.js";

const MAX_LENGTH = 200;
const MAX_NAME_LENGTH = 40;
const PASTED = /^image\.\w+$/; // what browsers call every pasted image

/** "tide.webp" -> "Tide"; "" for a file without a name of its own. */
const nameOf = ({ name, isUnnamed }) => (isUnnamed || PASTED.test(name) ? "" : words(name.replace(/\.\w+$/, "")).trim().slice(0, MAX_NAME_LENGTH));

function suggestTitle(photo, styles) {
  const name = photo ? nameOf(photo.file) : "";
  const styleNames = [...new Set(styles.map(({ file }) => nameOf(file)).filter(Boolean))].join(" and ");
  if (!styleNames) return name;
  return name ? `${name} in the style of ${styleNames}` : `In the style of ${styleNames}`;
}

export class TitleField {
  /** `onInput()` is called when somebody types. */
  constructor(onInput) {
    const oninput = () => ((this.isTyped = Boolean(this.input.value)), onInput());
    const help = h("small.muted", { id: "job-title-help" }, "For the gallery, and the name of a downloaded file. The file does not contain it.");
    this.input = h("input", { id: "job-title", type: "text", maxlength: MAX_LENGTH, autocomplete: "off", "aria-describedby": help.id, oninput });
    this.node = h("div.control", {}, h("label", { for: "job-title" }, "Title"), this.input, help);
  }

  /** Suggest a title for these images, unless one was typed. */
  suggest({ photo, styles }) {
    if (!this.isTyped) this.input.value = suggestTitle(photo, styles).slice(0, MAX_LENGTH);
  }

  /** Show another job's title; it is a suggestion, too. */
  set(title = "") {
    this.isTyped = false;
    this.input.value = title;
  }

  fillForm(form) {
    const title = this.input.value.trim();
    if (title) form.append("metadata", JSON.stringify({ title }));
  }
}
