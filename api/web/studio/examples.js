/** Examples for an empty studio: a photo with a style at one click, and a wall of styles, with those of the operator. */

import { call, fetchBlob } from "../common/api.js";
import { $, h, showText } from "../common/dom.js";
import { words } from "../common/format.js";

const PAIRS = [["cat", "tide"], ["coffee", "starlit"], ["rocket", "poppies"]];
const STYLES = ["tide", "poppies", "starlit"];
const THUMBNAIL = 256; // longest side in pixels

const exampleUrl = (name) => `/assets/studio/examples/${name}.webp`;
const title = (name) => words(name.replace(/\.\w+$/, ""));

export class Examples {
  constructor(images) {
    this.images = images;
    const pair = ([photo, style]) => {
      const onclick = () => this.use(async () => {
        const files = await Promise.all([photo, style].map((name) => loadFile(exampleUrl(name), name)));
        images.setPhoto(files[0]);
        images.setStyles([files[1]]);
        $("#submit").focus();
      });
      return h("button.example", { type: "button", onclick }, createPicture(exampleUrl(photo), ".photo"), createPicture(exampleUrl(style), ".inset"),
        h("span", {}, `${title(photo)} + ${title(style)}`));
    };
    this.pairs = h("section", { "aria-label": "Examples" }, h("h2", {}, "Try an example"), h("div.example-grid", {}, PAIRS.map(pair)));
    const styles = STYLES.map((name) => ({ name, url: exampleUrl(name), thumbnail: exampleUrl(name) }));
    this.grid = h("div.style-wall", {}, styles.map((style) => this.createStyle(style)));
    this.error = h("p.error", { role: "alert", hidden: true });
    $("#examples").append(this.pairs, h("section", { "aria-label": "Styles to choose from" }, h("h2", {}, "Choose a style"), this.grid), this.error);
    this.loadStyles();
  }

  /** Add the style images of the operator's folder. Without them, the wall has the examples. */
  async loadStyles() {
    const { styles } = await call("/v1/styles").catch(() => ({ styles: [] }));
    this.grid.append(...styles.map(({ name, url }) => this.createStyle({ name, url, thumbnail: `${url}?longest=${THUMBNAIL}` })));
  }

  createStyle({ name, url, thumbnail }) {
    const onclick = () => this.use(async () => this.images.addStyles([await loadFile(url, name)]));
    return h("button.example", { type: "button", title: title(name), onclick, "aria-label": `Add the style ${title(name)}` }, createPicture(thumbnail, ".photo"));
  }

  async use(load) {
    showText(this.error, "");
    await load().catch((error) => showText(this.error, error.message));
  }

  /** The pairs would replace what a person has chosen. */
  render() {
    this.pairs.hidden = Boolean(this.images.photo || this.images.styles.length);
  }
}

const createPicture = (src, kind) => h(`img${kind}`, { src, alt: "", loading: "lazy" });

async function loadFile(url, name) {
  const blob = await fetchBlob(url);
  return new File([blob], name, { type: blob.type });
}
