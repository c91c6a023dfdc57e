/** The photo and the styles: chosen, dropped or pasted, shown, weighed, taken away. */

import { $, h, keyed, tell, tellIf } from "./dom.js";

const ACCEPT = "image/jpeg,image/png,image/webp,image/gif,image/tiff";
const UNSHOWN = "This file is no picture that the browser can show. If it is a TIFF, the service may take it all the same.";

/** `changed()` is called whenever the pictures or their weights are others. */
export class Pictures {
  constructor(changed) {
    this.photo = null;
    this.styles = []; // {file, url, weight, key}
    this.changed = changed;
    this.zones = {
      content: zone("content", "Photo", (files) => this.setPhoto(files[0])),
      style: zone("style", "Painting", (files) => this.addStyles(files), true),
    };
    addEventListener("paste", (event) => this.paste(event));
    this.show();
  }

  get complete() {
    return Boolean(this.photo && this.styles.length);
  }

  /** Shares for the recipe; undefined where all count the same. */
  get mix() {
    const weights = this.styles.map((style) => style.weight);
    return weights.some((weight) => weight !== weights[0]) ? weights : undefined;
  }

  setPhoto(file) {
    if (this.photo) URL.revokeObjectURL(this.photo.url);
    this.photo = file ? { file, url: URL.createObjectURL(file) } : null;
    this.show();
  }

  /** In place of those that are there. */
  setStyles(files, weights) {
    for (const { url } of this.styles) URL.revokeObjectURL(url);
    this.styles = [];
    this.addStyles(files, weights);
  }

  addStyles(files, weights = []) {
    for (const [at, file] of [...files].entries()) {
      const [key] = crypto.getRandomValues(new Uint32Array(1));
      this.styles.push({ file, url: URL.createObjectURL(file), weight: weights[at] ?? 1, key });
    }
    this.show();
  }

  removeStyle(style) {
    URL.revokeObjectURL(style.url);
    this.styles = this.styles.filter((other) => other !== style);
    this.show();
    $("#style input").focus();
  }

  fillForm(form, recipe) {
    form.append("recipe", JSON.stringify(recipe));
    form.append("content", this.photo.file, this.photo.file.name || "photo.png");
    for (const style of this.styles) form.append("style", style.file, style.file.name || "style.png");
    return form;
  }

  /** Say what the API said of a picture, beside the one that it is about: the API names its size at most. */
  async complain(text, where) {
    where ||= (await this.isOfStyle(text)) ? "style" : "content";
    tellIf($(`#${where}-error`), text);
    $(`#${where} input`).setAttribute("aria-invalid", "true");
    return $(`#${where} input`);
  }

  async isOfStyle(text) {
    const meant = await Promise.all(this.styles.map(({ file }) => isMeant(file, text)));
    return meant.includes(true) && !(await isMeant(this.photo?.file, text));
  }

  forgive() {
    for (const name of ["content", "style"]) {
      tellIf($(`#${name}-error`), "");
      $(`#${name} input`).removeAttribute("aria-invalid");
    }
  }

  paste(event) {
    const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || $("#compose").hidden) return;
    event.preventDefault();
    if (this.photo) this.addStyles(files);
    else (this.setPhoto(files[0]), this.addStyles(files.slice(1)));
  }

  show() {
    const { content } = this.zones;
    if (this.hung !== this.photo) this.hang(content.zone);
    content.label.textContent = this.photo ? "Another photo" : "Drop, paste or choose a photo";
    this.zones.style.label.textContent = this.styles.length ? "One more" : "Drop, paste or choose a painting";
    this.number();
    this.forgive();
    this.changed();
  }

  /** The styles in their order, and what share each has: a weight by itself tells nothing. */
  number() {
    const { styles } = this;
    const all = styles.reduce((sum, { weight }) => sum + weight, 0);
    keyed($("#styles"), styles, ({ key }) => key, (style) => this.tile(style), ({ range, told, input, node }, style) => {
      const at = styles.indexOf(style) + 1;
      const share = all ? `${Math.round((100 * style.weight) / all)} %` : "none";
      range.hidden = styles.length < 2;
      tell(told, share);
      input.setAttribute("aria-valuetext", share);
      input.setAttribute("aria-label", `Share of style ${at}`);
      $("button", node).setAttribute("aria-label", `Remove style ${at}`);
    });
  }

  /** Show the photo; what it lies in takes its shape. */
  hang(zone) {
    this.hung = this.photo;
    $("img, .unshown", zone)?.remove();
    zone.classList.toggle("full", Boolean(this.photo));
    if (!this.photo) return;
    const image = shown(this.photo, "Your photo", () => zone.classList.remove("full"));
    image.onload = () => zone.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    zone.prepend(image);
  }

  tile(style) {
    const told = h("b");
    const weigh = () => {
      style.weight = Number(input.value);
      this.number();
      this.changed();
    };
    const input = h("input", { type: "range", min: 0, max: 3, step: 0.1, value: style.weight, oninput: weigh });
    const range = h("label.weight", {}, h("span", {}, "Share", told), input);
    const remove = h("button.remove", { type: "button", onclick: () => this.removeStyle(style) }, "×");
    const thumb = h("div.thumb", {}, shown(style, style.file.name || "A style"), remove);
    return { node: h("li.tile", {}, thumb, range), range, told, input };
  }
}

/** The picture, or words in its place: browsers cannot show all that the service takes, TIFF for one. */
function shown({ url }, alt, otherwise = () => {}) {
  const image = h("img", { src: url, alt, onerror });
  return image;

  function onerror() {
    if (!image.isConnected) return; // another one was chosen
    image.replaceWith(h("p.unshown", { role: "alert" }, UNSHOWN));
    otherwise();
  }
}

/** Whether a complaint is about this file: this browser cannot read it either, or it has the size that is named. */
async function isMeant(file, text) {
  const image = file && (await createImageBitmap(file).catch(() => null));
  const meant = !image || text.includes(`${image.width} x ${image.height}`);
  image?.close();
  return meant;
}

/** A label over a file input that also takes what is dropped on it. */
function zone(id, name, take, multiple = false) {
  const area = $(`#${id}`);
  const onchange = () => choose(input.files);
  const file = { id: `${id}-file`, type: "file", accept: ACCEPT, multiple, onchange };
  const input = h("input.sr", { ...file, "aria-describedby": `${id}-error` });
  const label = h("span.act");
  const choose = (files) => {
    const images = [...files].filter((file) => file.type.startsWith("image/") || !file.type);
    if (images.length) take(images);
    else if (files.length) tellIf($(`#${id}-error`), "That is no image; JPEG, PNG, WebP, GIF and TIFF are taken.");
    input.value = "";
  };
  const hint = h("small.soft", {}, multiple ? "several are mixed" : "JPEG, PNG, WebP, GIF or TIFF");
  area.append(h("label", { for: `${id}-file` }, h("span.sr", {}, `${name}: `), label, hint), input);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    area.addEventListener(kind, (event) => {
      event.preventDefault();
      area.classList.toggle("over", kind === "dragover");
      if (kind === "drop") choose(event.dataTransfer.files);
    });
  }
  return { zone: area, label };
}
