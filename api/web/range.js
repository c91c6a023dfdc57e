/** A slider beside a number field, on a logarithmic scale: twice as much is as far at either end. */

import { h } from "./dom.js";
import { words } from "./format.js";

const REACH = 8; // times less and times more than the preset's value
const TICKS = 100;

/** Gives a numeric field of schema.js a slider; other fields stay as they are. */
export function withSlider(found) {
  if (!["number", "integer"].includes(found.schema?.type) || found.schema.enum) return found;
  const { control, schema } = found;
  const slider = h("input", { type: "range", min: 0, max: TICKS, "aria-label": `${words(control.name)}, roughly` });
  let [low, high] = [1, 10];
  slider.addEventListener("input", () => {
    control.value = rounded(low * (high / low) ** (slider.value / TICKS), schema);
    control.dispatchEvent(new Event("input"));
  });
  const follow = () => (slider.value = TICKS * Math.log(Math.max(control.value, low) / low) / Math.log(high / low));
  control.addEventListener("input", (event) => event.isTrusted && follow());
  control.after(slider);
  found.node.classList.add("sliding");
  return { ...found, set };

  function set(value) {
    found.set(value);
    const middle = value || 1;
    low = Math.max(middle / REACH, schema.minimum || 0);
    high = Math.min(middle * REACH, schema.maximum ?? Infinity);
    follow();
  }
}

/** Two significant digits; pixels and steps whole. */
function rounded(value, schema) {
  const digits = 10 ** (Math.floor(Math.log10(value)) - 1);
  const near = Math.round(value / digits) * digits;
  return schema.type === "integer" ? Math.max(Math.round(near), schema.minimum ?? 1) : Number(near.toPrecision(2));
}
