/** The recipe form: presets as cards, the artist's controls, and all other parameters under "Advanced". */

import { call } from "../common/api.js";
import { $, h, showText } from "../common/dom.js";
import { words } from "../common/format.js";
import { createArtistControl } from "./artist-controls.js";
import { createField } from "./schema-fields.js";

const SET_ELSEWHERE = new Set(["preset", "style_mix"]); // by the preset cards; by the shares of the style images
const KEPT = new Set(["size", "color", "color_strength"]); // by another preset, if they were changed
const CONTROLS = ["style_weight", "style_scale", "color", "size"]; // in the order of the page
const PRESET_HINTS = {
  default: "Best quality",
  gentle: "Closer to the photo",
  strong: "Closer to the painting",
  fast: "Quick draft",
  patches: "Brushwork alone, quickest",
  tutorial: "TensorFlow’s tutorial, slow",
};

export class Parameters {
  static async load(onChange) {
    return new Parameters(await call("/v1/recipes", { tries: 6 }), onChange);
  }

  constructor({ presets, schema, sizes }, onChange) {
    this.presets = presets;
    this.fields = new Map();
    this.controls = new Map();
    for (const [name, property] of Object.entries(schema.properties)) {
      if (SET_ELSEWHERE.has(name)) continue;
      const field = createField(name, property, schema, () => (this.onFieldChange(name), onChange()));
      const control = createArtistControl(name, field, sizes);
      if (control) this.controls.set(name, control);
      this.fields.set(name, control?.field ?? field);
      if (name !== "size") $("#advanced-parameters").append(field.node);
    }
    $("#artist-controls").append(...CONTROLS.map((name) => this.controls.get(name).node));
    $("#presets").append(...Object.keys(presets).map((preset) => this.createCard(preset, onChange)));
    this.useInitImage(false);
    this.usePreset("default" in presets ? "default" : Object.keys(presets)[0]);
  }

  onFieldChange(name) {
    const { color, color_strength: strength } = Object.fromEntries(this.fields);
    if (name === "color" && color.get() === "style") strength.set(this.preset.color_strength); // it would be refused
    this.renderStrength();
  }

  createCard(preset, onChange) {
    const onchange = () => (this.choosePreset(preset), onChange());
    return h("label.card", {},
      h("input", { type: "radio", name: "preset", value: preset, "aria-describedby": "preset-error", onchange }),
      h("b", {}, words(preset)),
      h("span.muted", {}, PRESET_HINTS[preset] || ""));
  }

  /** A preset sets the style. The size and the colors that were chosen stay. */
  choosePreset(name) {
    const chosen = Object.entries(this.recipe()).filter(([field]) => KEPT.has(field));
    this.usePreset(name);
    this.set(Object.fromEntries(chosen));
  }

  usePreset(name) {
    this.preset = this.presets[name];
    for (const radio of document.getElementsByName("preset")) radio.checked = radio.value === name;
    this.set(this.preset);
  }

  /** Show a complete recipe, such as another job's; one with a start image starts as its preset does. */
  show(recipe) {
    this.usePreset(recipe.preset in this.presets ? recipe.preset : this.preset.preset);
    this.set(recipe.init === "image" ? { ...recipe, init: this.preset.init } : recipe);
  }

  /** With a start image, `init` is `image`; without one, it cannot be. */
  useInitImage(isUsed) {
    this.hasInitImage = isUsed;
    const { control } = this.fields.get("init");
    const [option] = [...control.options].filter(({ value }) => value === "image");
    control.disabled = isUsed;
    option.disabled = option.hidden = !isUsed;
    if (this.preset) this.set({ init: this.preset.init });
  }

  set(values) {
    const all = this.hasInitImage ? { ...values, init: "image" } : values;
    for (const [name, field] of this.fields) if (name in all) field.set(all[name], this.preset[name]);
    this.renderStrength();
    this.clearErrors();
  }

  /** Without evaluations there is no style loss. */
  renderStrength() {
    const control = this.controls.get("style_weight");
    if (control) control.slider.disabled = !this.fields.get("steps").get();
  }

  /** Show the quoted times of the usual sizes. */
  showTimes(sizes) {
    this.controls.get("size").showTimes(sizes);
  }

  /** Return the preset's name and the values that differ from it. */
  recipe() {
    const recipe = { preset: this.preset.preset };
    for (const [name, field] of this.fields) {
      const value = field.get();
      if (JSON.stringify(value) !== JSON.stringify(this.preset[name])) recipe[name] = value;
    }
    return recipe;
  }

  /** Show an error beside its parameter. Returns the control to focus, or null if no parameter has this name. */
  showError(path, text) {
    if (path === "preset") return (showText($("#preset-error"), text), $("#presets input"));
    const control = this.fields.get(path.split(".")[0])?.showError(path, text) || null;
    if (control?.closest("#advanced")) $("#advanced").open = true;
    return control;
  }

  clearErrors() {
    showText($("#preset-error"), "");
    for (const control of document.querySelectorAll("#compose .parameter [aria-invalid]")) {
      control.removeAttribute("aria-invalid");
      showText($(".error", control.closest(".parameter")), "");
    }
  }
}
