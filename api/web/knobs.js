/** The recipe's form: presets as cards, the few knobs that matter, and all others of the schema under "More". */

import { call } from "./api.js";
import { $, h, tellIf } from "./dom.js";
import { plural, words } from "./format.js";
import { field } from "./schema.js";
import { withSlider } from "./range.js";

const ELSEWHERE = new Set(["preset", "style_mix"]); // the cards; the styles' own weights
const BLURBS = { default: "The picture, coarse to fine", fast: "A quick preview", tutorial: "TensorFlow’s tutorial" };
const inOrder = (one, other) => (other.preset === "default") - (one.preset === "default") || one.steps - other.steps;

export class Knobs {
  static async load(changed) {
    return new Knobs(await call("/v1/recipes", { tries: 6 }), changed);
  }

  constructor({ presets, schema, knobs }, changed) {
    this.presets = presets;
    this.fields = new Map();
    for (const [name, one] of Object.entries(schema.properties)) {
      if (ELSEWHERE.has(name)) continue;
      const found = field(name, one, schema, changed);
      const few = knobs.includes(name);
      this.fields.set(name, few ? withSlider(found) : found);
      $(few ? "#few" : "#many").append(found.node);
    }
    $("#presets").append(...Object.values(presets).sort(inOrder).map((preset) => this.card(preset, changed)));
    this.choose("default" in presets ? "default" : Object.keys(presets)[0]);
  }

  card(preset, changed) {
    const choose = () => (this.choose(preset.preset), changed());
    return h("label.card", {},
      h("input", { type: "radio", name: "preset", value: preset.preset, "aria-describedby": "preset-error", onchange: choose }),
      h("b", {}, words(preset.preset)),
      h("span.soft", {}, BLURBS[preset.preset] || ""),
      h("small.soft", {}, `${preset.size} px · ${plural(preset.steps, "step")}`));
  }

  choose(name) {
    this.base = this.presets[name];
    for (const radio of document.getElementsByName("preset")) radio.checked = radio.value === name;
    this.set(this.base);
  }

  /** Show a whole recipe, such as another job's. */
  show(recipe) {
    this.choose(recipe.preset in this.presets ? recipe.preset : this.base.preset);
    this.set(recipe);
  }

  set(recipe) {
    for (const [name, one] of this.fields) if (name in recipe) one.set(recipe[name]);
    this.forgive();
  }

  /** The preset and what differs from it. Raises SyntaxError where a field holds no JSON, and says so there. */
  recipe() {
    const found = { preset: this.base.preset };
    for (const [name, one] of this.fields) {
      const value = this.read(name, one);
      if (JSON.stringify(value) !== JSON.stringify(this.base[name])) found[name] = value;
    }
    return found;
  }

  read(name, one) {
    try {
      return one.get();
    } catch (error) {
      this.complain(name, "This is no JSON; see the help below it for the form.");
      throw error;
    }
  }

  /** Say what is wrong beside the knob; the control to look at, or null where no knob has this name. */
  complain(at, text) {
    if (at === "preset") return (tellIf($("#preset-error"), text), $("#presets input"));
    const found = this.fields.get(at.split(".")[0])?.complain(at, text) || null;
    if (found?.closest("#more")) $("#more").open = true;
    return found;
  }

  forgive() {
    tellIf($("#preset-error"), "");
    for (const control of document.querySelectorAll("#compose .knob [aria-invalid]")) {
      control.removeAttribute("aria-invalid");
      tellIf($(`#${CSS.escape(control.id)}-error`), "");
    }
  }
}
