/** A slider for a number field, on a logarithmic scale: doubling a value moves it about equally far anywhere. */

import { h } from "../common/dom.js";

const FACTOR = 8; // the slider goes from an eighth of the preset's value to eight times that value
const TICKS = 100; // before rounding; those that are equal afterwards are one stop

/** Return {slider, field}: a range input for a numeric field of schema-fields.js, and the field, which now moves it. `onMove(factor)` returns a text for the value relative to the preset's. */
export function createLogSlider(field, attributes, onMove) {
  const { control, schema } = field;
  const slider = h("input", { type: "range", min: 0, ...attributes });
  const showValue = () => slider.setAttribute("aria-valuetext", onMove(Number(control.value) / middle));
  let [middle, stops] = [1, []]; // the slider's value is the index of a stop
  slider.addEventListener("input", () => {
    control.value = stops[slider.value];
    control.dispatchEvent(new Event("input"));
    showValue();
  });
  control.addEventListener("input", (event) => event.isTrusted && updateSlider());
  return { slider, field: { ...field, set } };

  function set(value, presetValue) {
    field.set(value);
    middle = presetValue || 1;
    updateSlider();
  }

  /** The field's value is a stop too, so that the slider can return to it. */
  function updateSlider() {
    const own = control.value && control.validity.valid ? [Number(control.value)] : [];
    stops = [...new Set([...own, ...stopsAround(middle, schema)])].sort((one, other) => one - other);
    slider.max = stops.length - 1;
    slider.value = stops.findLastIndex((stop) => stop <= control.value);
    showValue();
  }
}

/** Return the limits, `middle`, and between them values of two significant digits. */
function stopsAround(middle, schema) {
  const low = Math.max(middle / FACTOR, schema.minimum || 0);
  const high = Math.min(middle * FACTOR, schema.maximum ?? Infinity);
  const ticks = Array.from({ length: TICKS }, (_, tick) => low * (high / low) ** (tick / TICKS));
  const rounded = ticks.map((value) => Number(value.toPrecision(2)));
  return [low, middle, high, ...rounded.filter((value) => value > low && value < high)];
}
