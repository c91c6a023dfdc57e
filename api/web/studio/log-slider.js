/** A slider beside a number field, on a logarithmic scale: doubling a value moves it equally far anywhere. */

import { h } from "../common/dom.js";
import { words } from "../common/format.js";

const FACTOR = 8; // the slider goes from an eighth of the preset's value to eight times that value
const TICKS = 100;

/** Return a numeric field of schema-fields.js with a slider; other fields unchanged. */
export function withLogSlider(field) {
  if (!["number", "integer"].includes(field.schema?.type) || field.schema.enum) return field;
  const { control, schema } = field;
  const slider = h("input", { type: "range", min: 0, max: TICKS, "aria-label": `${words(control.name)}, slider` });
  let [low, high] = [1, 10];
  slider.addEventListener("input", () => {
    control.value = round(low * (high / low) ** (slider.value / TICKS), schema);
    control.dispatchEvent(new Event("input"));
  });
  const updateSlider = () => (slider.value = TICKS * Math.log(Math.max(control.value, low) / low) / Math.log(high / low));
  control.addEventListener("input", (event) => event.isTrusted && updateSlider());
  control.after(slider);
  field.node.classList.add("with-slider");
  return { ...field, set };

  function set(value) {
    field.set(value);
    const middle = value || 1;
    low = Math.max(middle / FACTOR, schema.minimum || 0);
    high = Math.min(middle * FACTOR, schema.maximum ?? Infinity);
    updateSlider();
  }
}

/** Round to two significant digits, integers to whole numbers. */
function round(value, schema) {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  const rounded = Math.round(value / unit) * unit;
  return schema.type === "integer" ? Math.max(Math.round(rounded), schema.minimum ?? 1) : Number(rounded.toPrecision(2));
}
