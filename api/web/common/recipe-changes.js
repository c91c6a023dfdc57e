/** How a recipe differs from its preset, or from another recipe. */

import { fieldName, number } from "./format.js";

const isEqual = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Return [name, value, other value] for each parameter that differs. */
export const differences = (recipe, other) =>
  Object.entries(recipe).filter(([name, value]) => name !== "preset" && !isEqual(value, other[name])).map(([name, value]) => [name, value, other[name]]);

/** Return the preset's name and the values that differ from it. */
export function shortRecipe(recipe, presets) {
  const preset = presets[recipe.preset] || presets.default;
  return { preset: preset.preset, ...Object.fromEntries(differences(recipe, preset)) };
}

/** A value for people: "0.5", "content", "block4_conv2: 1". */
export function valueText(value) {
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return value.map(valueText).join(" · ") || "none";
  if (value && typeof value === "object") return Object.entries(value).map(([name, item]) => `${name}: ${valueText(item)}`).join(", ");
  return String(value);
}

/** "strong · 384 px · Style weight 40": what a caption says of a recipe. */
export function caption(recipe, presets) {
  const preset = presets[recipe.preset];
  const changes = preset ? differences(recipe, preset).filter(([name]) => name !== "size") : [];
  const texts = changes.map(([name, value]) => `${fieldName(name)} ${typeof value === "object" ? "changed" : valueText(value)}`);
  return [recipe.preset, `${recipe.size} px`, ...texts.slice(0, 3), texts.length > 3 && `${texts.length - 3} more`].filter(Boolean).join(" · ");
}
