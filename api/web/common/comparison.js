/** The result over its photo. A range input below sets how much of the photo shows, so it works by keyboard too. */

import { $, h, setText } from "./dom.js";

export class Comparison {
  /** `photo` is the URL of the content photo, or of another picture that is called `name`, or null until setPhoto(). */
  constructor(photo, name = "photo") {
    this.name = name;
    this.range = h("input", { type: "range", min: 0, max: 100, "aria-label": `Compare with the ${name}`, disabled: true });
    this.photo = h("img.photo", { src: photo, alt: name === "photo" ? "Original photo" : "First picture", hidden: !photo, onerror: () => (this.photo.hidden = true) });
    this.viewport = h("div.viewport.no-result", {}, this.photo, h("div.divider"));
    const label = (text) => h("span", { "aria-hidden": "true" }, text);
    this.share = label();
    this.node = h("figure.comparison", {}, this.viewport, h("figcaption", {}, label("Compare"), this.range, this.share));
    this.range.addEventListener("input", () => this.setSplit(this.range.value));
    this.viewport.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.viewport.addEventListener("pointerdown", (event) => this.drag(event));
    this.photo.addEventListener("load", () => this.setRatio(this.photo));
    this.setSplit(0);
  }

  setPhoto(url) {
    this.photo.hidden = false;
    this.photo.src = url;
  }

  /** The viewport takes the aspect ratio of the photo. */
  setRatio({ naturalWidth, naturalHeight }) {
    this.viewport.style.setProperty("--ratio", naturalWidth / naturalHeight);
  }

  /** Say how long the longest side of the result is, in pixels: it is not enlarged much. */
  setSize(longest) {
    this.viewport.style.setProperty("--longest", longest);
  }

  /** Show the whole result if the photo covers most of it. */
  uncover() {
    if (this.range.value > 80) this.setSplit(0);
  }

  drag(event) {
    if (!$(".result", this.viewport)) return;
    const { left, width } = this.viewport.getBoundingClientRect();
    this.setSplit(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
    event.preventDefault();
  }

  /** Show `percent` of the photo, from the left. */
  setSplit(percent) {
    this.range.value = percent;
    setText(this.share, `${this.range.value}% ${this.name}`);
    this.range.setAttribute("aria-valuetext", this.share.textContent);
    this.viewport.style.setProperty("--split", percent);
  }

  /** Show an image over the previous one. It fades in unless `immediate`. The last call wins, in whichever order images load. */
  async show(url, alt, immediate = false) {
    if (this.url === url) return;
    this.url = url;
    const image = h("img.result", { src: url, alt });
    await image.decode().catch(() => {});
    if (this.url !== url || !image.naturalWidth) return;
    const previous = [...this.viewport.querySelectorAll(".result")];
    previous.forEach((old) => old.setAttribute("alt", ""));
    if (!immediate) image.classList.add("fade-in");
    this.photo.after(...previous, image);
    this.viewport.classList.remove("no-result");
    this.range.disabled = false;
    setTimeout(() => previous.forEach((old) => old.remove()), immediate ? 0 : 700);
  }
}
