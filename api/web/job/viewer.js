/** A picture in a dialog as large as the window: at its true size, larger or smaller, and on the full screen. */

import { h, loadStyles, setText } from "../common/dom.js";

const ZOOMS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8];

/** Show the picture at its true size: one pixel of it for each pixel of the screen. */
export async function showViewer(url, alt) {
  const image = h("img", { src: url, alt });
  await Promise.all([loadStyles("/assets/job/viewer.css"), image.decode().catch(() => {})]);
  if (image.naturalWidth) new Viewer(image).open();
}

class Viewer {
  constructor(image) {
    this.image = image;
    this.label = h("output", { "aria-live": "polite" });
    const button = (text, name, onclick) => h("button.small", { type: "button", "aria-label": name, onclick }, text);
    const { naturalWidth: width, naturalHeight: height } = image;
    this.scroller = h("div.scroller", { tabindex: 0, role: "group", "aria-label": `Picture, ${width} × ${height} pixels` }, image);
    this.bar = h("div.viewer-bar", {},
      button("−", "Zoom out", () => this.step(-1)), this.label, button("+", "Zoom in", () => this.step(1)),
      button("True size", "True size", () => this.setZoom(1)), button("Fit", "Fit the window", () => this.setZoom(this.fittingZoom())),
      document.fullscreenEnabled && button("Full screen", "Full screen", () => this.toggleFullscreen()),
      button("Close", "Close", () => this.dialog.close()));
    this.frame = h("div.viewer-frame", {}, this.scroller, this.bar);
    this.dialog = h("dialog.viewer", { "aria-label": "Picture", onkeydown: (event) => this.onKey(event), onclose: () => this.dialog.remove() }, this.frame);
    this.scroller.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.scroller.addEventListener("dblclick", () => this.setZoom(this.zoom === 1 ? this.fittingZoom() : 1));
    this.scroller.addEventListener("pointermove", ({ buttons, pointerType, movementX, movementY }) =>
      buttons && pointerType === "mouse" && this.scroller.scrollBy(-movementX, -movementY));
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.setZoom(1);
    this.scroller.focus();
  }

  fittingZoom() {
    const { clientWidth, clientHeight } = this.scroller;
    return Math.min(clientWidth / this.image.naturalWidth, clientHeight / this.image.naturalHeight) * devicePixelRatio;
  }

  step(direction) {
    const next = direction > 0 ? ZOOMS.find((zoom) => zoom > this.zoom + 1e-6) : ZOOMS.findLast((zoom) => zoom < this.zoom - 1e-6);
    if (next) this.setZoom(next);
  }

  /** The middle of what is visible stays where it is. */
  setZoom(zoom) {
    const { scroller, image } = this;
    const middle = (start, size, whole) => (whole ? (start + size / 2) / whole : 0.5);
    const [x, y] = [middle(scroller.scrollLeft, scroller.clientWidth, scroller.scrollWidth), middle(scroller.scrollTop, scroller.clientHeight, scroller.scrollHeight)];
    this.zoom = zoom;
    image.style.width = `${(image.naturalWidth * zoom) / devicePixelRatio}px`;
    image.classList.toggle("pixels", zoom >= 3);
    scroller.scrollTo(x * scroller.scrollWidth - scroller.clientWidth / 2, y * scroller.scrollHeight - scroller.clientHeight / 2);
    setText(this.label, `${Math.round(100 * zoom)}%`);
  }

  onWheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // it scrolls
    event.preventDefault();
    this.step(event.deltaY < 0 ? 1 : -1);
  }

  onKey(event) {
    const act = { "+": () => this.step(1), "=": () => this.step(1), "-": () => this.step(-1), 0: () => this.setZoom(1), f: () => this.toggleFullscreen() }[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  /** Of the frame: a dialog itself cannot be. */
  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.frame.requestFullscreen?.().catch(() => {});
  }
}
