/** A dialog to paint a mask on the photo with a brush. */

import { h } from "../common/dom.js";

const LONGEST = 1024; // longest side of a painted mask in pixels; the API scales it to the photo
const COLORS = [[255, 64, 129], [0, 176, 255], [255, 196, 0], [124, 77, 255], [0, 200, 83], [255, 110, 64], [0, 229, 255], [213, 0, 249]]; // of the masks over the photo: one for each region
const MAX_UNDO = 12; // strokes
const SIZES = { min: 1, max: 40, value: 10 }; // diameter of the brush, in percent of the longest side
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601, as in the API

const colorOf = (region) => COLORS[region % COLORS.length];

/** Draw a gray image file on a canvas as opacity of the region's color: white opaque, black and transparent parts clear. Rejects for a file that the browser cannot show. */
export async function drawMask(canvas, file, region, longest = LONGEST) {
  const bitmap = await createImageBitmap(file);
  resize(canvas, bitmap, longest);
  const context = contextOf(canvas);
  context.fillRect(0, 0, canvas.width, canvas.height); // black
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const luma = LUMA.reduce((sum, weight, channel) => sum + weight * pixels.data[at + channel], 0);
    pixels.data.set([...colorOf(region), Math.round(luma)], at);
  }
  context.putImageData(pixels, 0, 0);
}

/** Let a person paint on a picture. Resolves to a PNG file, null for an empty mask, or undefined if it was canceled. Rejects if the browser cannot show the picture. */
export async function paintMask(picture, file, options) {
  const painter = new MaskPainter(picture.url, options);
  await painter.load(file);
  return painter.run();
}

/** Return a mask of the picture's shape that is white everywhere. Rejects for a file that the browser cannot show. */
export async function createWhiteMask(file) {
  const canvas = h("canvas");
  const bitmap = await createImageBitmap(file);
  resize(canvas, bitmap, LONGEST);
  bitmap.close();
  Object.assign(contextOf(canvas), { fillStyle: "white" }).fillRect(0, 0, canvas.width, canvas.height);
  return toPng(canvas);
}

class MaskPainter {
  constructor(url, { title, hint, region }) {
    this.region = region;
    this.history = []; // the pixels before each stroke
    this.photo = h("img", { src: url, alt: "" });
    this.canvas = h("canvas", { role: "img", "aria-label": `${title}, painted with a mouse, pen or finger` });
    this.ring = h("div.brush", { hidden: true });
    this.frame = h("div.frame", {}, this.photo, this.canvas, this.ring);
    this.size = h("input", { type: "range", ...SIZES, "aria-label": "Brush size" });
    const tool = (name, erases) => h("button", { type: "button", onclick: () => this.use(erases) }, name);
    this.tools = [tool("Paint", false), tool("Erase", true)];
    const button = (name, kind, onclick) => h(`button${kind}`, { type: "button", onclick }, name);
    const close = (value) => () => this.dialog.close(value);
    this.dialog = h("dialog.painter", { "aria-labelledby": "painter-title" },
      h("h2", { id: "painter-title" }, title),
      h("p.muted", {}, `${hint} Without a pointer, choose an image file instead.`),
      this.frame,
      h("div.row", {},
        h("div.tabs", { role: "group", "aria-label": "Tool" }, this.tools),
        h("label", {}, h("span", {}, "Size"), this.size),
        (this.undoButton = button("Undo", ".small", () => this.undo())),
        button("Clear", ".small", () => this.clear()),
        h("span.end", {}, button("Cancel", ".quiet", close("")), button("Done", ".primary", close("done")))));
    this.use(false);
    this.undoButton.disabled = true;
    this.dialog.addEventListener("keydown", (event) => event.key === "z" && (event.ctrlKey || event.metaKey) && (event.preventDefault(), this.undo()));
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"]) {
      this.canvas.addEventListener(kind, (event) => event.isPrimary && this[kind](event));
    }
  }

  async load(file) {
    await this.photo.decode();
    const size = { width: this.photo.naturalWidth, height: this.photo.naturalHeight };
    this.frame.style.setProperty("--ratio", size.width / size.height);
    resize(this.canvas, size, LONGEST);
    if (!file) return;
    const mask = h("canvas");
    await drawMask(mask, file, this.region).then(() => this.context.drawImage(mask, 0, 0, this.canvas.width, this.canvas.height), () => {});
  }

  run() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => {
        this.dialog.remove();
        resolve(this.dialog.returnValue ? this.toFile() : undefined);
      });
    });
  }

  get context() {
    return contextOf(this.canvas);
  }

  use(erases) {
    this.erases = erases;
    this.tools.forEach((tool, index) => tool.setAttribute("aria-pressed", String(erases === Boolean(index))));
  }

  /** Remember the pixels before a change. */
  remember() {
    this.history = [...this.history, this.context.getImageData(0, 0, this.canvas.width, this.canvas.height)].slice(-MAX_UNDO);
    this.undoButton.disabled = false;
  }

  undo() {
    const pixels = this.history.pop();
    if (pixels) this.context.putImageData(pixels, 0, 0);
    this.undoButton.disabled = !this.history.length;
  }

  clear() {
    this.remember();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  pointerdown(event) {
    if (event.button) return;
    this.remember();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.position(event);
    this.pointermove(event);
  }

  pointermove(event) {
    this.showRing(event);
    if (!this.last) return;
    const { context } = this;
    const events = event.getCoalescedEvents?.() || [];
    context.globalCompositeOperation = this.erases ? "destination-out" : "source-over";
    Object.assign(context, { strokeStyle: `rgb(${colorOf(this.region)})`, lineCap: "round", lineJoin: "round", lineWidth: this.diameter(this.canvas) });
    context.beginPath();
    context.moveTo(...this.last);
    for (const each of events.length ? events : [event]) context.lineTo(...(this.last = this.position(each)));
    context.stroke();
  }

  pointerup() {
    this.last = null;
  }

  pointercancel = this.pointerup;

  pointerleave() {
    this.ring.hidden = true;
  }

  /** The event's position in pixels of the mask. */
  position({ clientX, clientY }) {
    const { left, top, width } = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / width;
    return [(clientX - left) * scale, (clientY - top) * scale];
  }

  diameter = ({ width, height }) => (Math.max(width, height) * this.size.value) / 100;

  /** A circle as large as the brush follows the pointer. */
  showRing({ clientX, clientY }) {
    const bounds = this.canvas.getBoundingClientRect();
    const diameter = this.diameter(bounds);
    this.ring.hidden = false;
    Object.assign(this.ring.style, { width: `${diameter}px`, left: `${clientX - bounds.left}px`, top: `${clientY - bounds.top}px` });
  }

  /** Return the mask: white where it is painted, else black. Null if nothing is painted. */
  async toFile() {
    const { context, canvas } = this;
    const area = [0, 0, canvas.width, canvas.height];
    if (!context.getImageData(...area).data.some(Boolean)) return null;
    for (const [operation, color] of [["source-in", "white"], ["destination-over", "black"]]) {
      Object.assign(context, { globalCompositeOperation: operation, fillStyle: color });
      context.fillRect(...area);
    }
    return toPng(canvas);
  }
}

async function toPng(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "mask.png", { type: "image/png" });
}

/** Pixels are read more than once, which is slow on a GPU. */
const contextOf = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

function resize(canvas, { width, height }, longest) {
  const scale = longest / Math.max(width, height);
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
}
