/** A picture with the photo behind it: how far it is drawn aside says the range beneath, so that keyboards work, too. */

import { $, h } from "./dom.js";

const COMPARE = "Compare: how much of the photo is shown, in per cent";

export class Easel {
  /** `photo` is the address of the content photo; the frame takes its shape. */
  constructor(photo) {
    const share = { type: "range", min: 0, max: 100, value: 0, "aria-label": COMPARE };
    this.range = h("input.compare", { ...share, disabled: true });
    this.photo = h("img.photo", { src: photo, alt: "The photo" });
    this.frame = h("div.frame.bare", {}, this.photo, h("div.cut"));
    const end = (text) => h("span", { "aria-hidden": "true" }, text);
    this.node = h("figure.easel", {}, this.frame, h("figcaption", {}, end("Photo"), this.range, end("Painting")));
    this.range.addEventListener("input", () => this.cut(this.range.value));
    this.frame.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.frame.addEventListener("pointerdown", (event) => this.drag(event));
    this.photo.addEventListener("load", () => this.shape(this.photo));
    this.cut(0);
  }

  shape({ naturalWidth, naturalHeight }) {
    this.frame.style.setProperty("--ratio", naturalWidth / naturalHeight);
  }

  drag(event) {
    if (!$(".layer", this.frame)) return;
    const { left, width } = this.frame.getBoundingClientRect();
    this.cut(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
    event.preventDefault();
  }

  cut(share) {
    this.range.value = share;
    this.frame.style.setProperty("--cut", share);
  }

  /** Hang another picture over the last one; it fades in unless `at once`. Keeps the order however they load. */
  async show(url, alt, atOnce = false) {
    if (this.shown === url) return;
    this.shown = url;
    const layer = h("img.layer", { src: url, alt });
    await layer.decode().catch(() => {});
    if (this.shown !== url || !layer.naturalWidth) return;
    const before = [...this.frame.querySelectorAll(".layer")];
    before.forEach((old) => old.setAttribute("alt", ""));
    if (!atOnce) layer.classList.add("fresh");
    this.photo.after(...before, layer);
    this.frame.classList.remove("bare");
    this.range.disabled = false;
    setTimeout(() => before.forEach((old) => old.remove()), atOnce ? 0 : 700);
  }
}
