/** The controls that everybody needs, each with a sentence and pictures of its ends. They set fields of the recipe. */

import { h, setText } from "../common/dom.js";
import { duration, words } from "../common/format.js";
import { createLogSlider } from "./log-slider.js";

const SLIDERS = {
  style_weight: {
    title: "Style strength",
    help: "Left keeps more of the photo, right takes more of the painting.",
    ends: ["strength-low", "strength-high"],
  },
  style_scale: {
    title: "Stroke size",
    help: "Left makes fine strokes, right makes broad ones.",
    ends: ["strokes-small", "strokes-large"],
  },
};
const COLORS = {
  style: ["The painting’s", "The picture takes the colors of the painting."],
  content: ["The photo’s", "The photo keeps its colors, and only the brushwork is the painting’s."],
  match: ["Matched", "The painting’s colors are shifted to those of the photo first."],
};
const SIZE_HELP = "A larger picture has finer detail, and takes longer.";

const picture = (name) => h("img", { src: `/assets/studio/pictures/${name}.webp`, alt: "", width: 84, height: 56, loading: "lazy" });

/** Return {node, field} for a field of schema-fields.js that has a control here, else null. */
export function createArtistControl(name, field, sizes) {
  if (SLIDERS[name]) return createSlider(field, SLIDERS[name]);
  if (name === "color") return createColors(field);
  return name === "size" ? createSizes(field, sizes) : null;
}

function createSlider(field, { title, help, ends }) {
  const value = h("output.muted");
  const onMove = (factor) => {
    setText(value, Math.abs(factor - 1) < 1e-9 ? "as the preset" : `×${Number(factor.toPrecision(2))}`);
    return value.textContent;
  };
  const id = `control-${field.control.name}`;
  const { slider, field: linked } = createLogSlider(field, { id, "aria-describedby": `${id}-help` }, onMove);
  const node = h("div.control", {},
    h("div.row", {}, h("label", { for: id }, title), value),
    h("small.muted", { id: `${id}-help` }, help),
    h("div.ends", {}, picture(ends[0]), slider, picture(ends[1])));
  return { node, slider, field: linked };
}

/** A group of radio buttons as cards. `show(value)` checks the one with this value, or none. */
export function createCards(name, title, help, options, onChoose) {
  const createCard = ([value, ...content]) => {
    const onchange = () => onChoose(value);
    return h("label.card.choice", {}, h("input", { type: "radio", name: `${name}-choice`, value, onchange }), ...content);
  };
  const cards = h("div.choices", {}, options.map(createCard));
  const node = h("fieldset.control", { "aria-describedby": help.id }, h("legend", {}, title), help, cards);
  const show = (chosen) => cards.querySelectorAll("input").forEach((input) => (input.checked = input.value === String(chosen)));
  return { node, show };
}

function createColors(field) {
  const help = h("small.muted", { id: "control-color-help" });
  const options = Object.entries(COLORS).map(([value, [title]]) => [value, picture(`color-${value}`), h("span", {}, title)]);
  const choose = (value) => (field.set(value), show(value), field.control.dispatchEvent(new Event("input")));
  const cards = createCards("color", "Colors", help, options, choose);
  const show = (value) => (cards.show(value), setText(help, COLORS[value]?.[1] ?? ""));
  field.control.addEventListener("input", (event) => event.isTrusted && show(field.control.value));
  return { node: cards.node, field: { ...field, set: (value) => (field.set(value), show(value)) } };
}

/** Cards for the usual sizes, with the time of each from the quote, beside the field for any other. */
function createSizes(field, sizes) {
  const help = h("small.muted", { id: "control-size-help" }, SIZE_HELP);
  const times = Object.fromEntries(Object.keys(sizes).map((name) => [name, h("small.muted")]));
  const options = Object.entries(sizes).map(([name, size]) =>
    [size, h("span", {}, words(name)), h("small.muted", {}, `${size.toLocaleString("en")} px`), times[name]]);
  const choose = (size) => (field.set(size), field.control.dispatchEvent(new Event("input")));
  const cards = createCards("size", "Size", help, options, choose);
  const pictures = h("div.ends", {}, picture("size-small"), h("span.muted", { "aria-hidden": "true" }, "→"), picture("size-large"));
  help.after(pictures);
  field.node.classList.add("inline");
  setText(field.node.querySelector("label"), "Longest side in pixels");
  cards.node.append(field.node);
  field.control.addEventListener("input", () => cards.show(field.control.value));
  return { node: cards.node, field: { ...field, set: (value) => (field.set(value), cards.show(value)) }, showTimes };

  /** Show what the quote says of each size. */
  function showTimes(quoted) {
    for (const [name, node] of Object.entries(times)) {
      const quote = quoted[name];
      setText(node, !quote ? "" : quote.fits ? `about ${duration(quote.seconds)}` : "too large for the workers");
    }
  }
}
