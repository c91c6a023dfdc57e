/** The loss by step, one line per term, on a logarithmic scale, as SVG. */

import { h, oncePerFrame } from "../common/dom.js";
import { number } from "../common/format.js";

const [WIDTH, HEIGHT, LEFT_MARGIN, BOTTOM_MARGIN] = [340, 170, 34, 18];
const TERMS = { total: "Total", style: "Style", content: "Content", total_variation: "Total variation" };
const MAX_POINTS = 240; // drawn per line
const MAX_DECADES = 5; // the content loss starts at almost zero, which would flatten all lines

export class LossChart {
  constructor() {
    this.points = []; // {step, losses}, in order of steps
    this.lines = Object.fromEntries(Object.keys(TERMS).map((term) => [term, h(`polyline.${term}`)]));
    this.grid = h("g.grid");
    const attributes = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "No loss values yet" };
    this.svg = h("svg", attributes, this.grid, Object.values(this.lines));
    this.values = Object.fromEntries(Object.keys(TERMS).map((term) => [term, h("td")]));
    const row = ([term, name]) => h("tr", {}, h("th", { scope: "row" }, h(`i.${term}`), name), this.values[term]);
    const legend = h("table", {}, h("tbody", {}, Object.entries(TERMS).map(row)));
    this.note = h("p.muted", { hidden: true }, "The loss rises when a stage at a larger size begins.");
    this.node = h("section.loss-chart", { hidden: true }, h("h2", {}, "Loss"), this.svg, legend, this.note);
    this.draw = oncePerFrame(() => this.render());
  }

  /** Add a point. A step that is repeated after a resume discards the points from that step on. */
  add(step, losses) {
    while (this.points.length && this.points.at(-1).step >= step) this.points.pop();
    this.points.push({ step, losses });
    this.draw();
  }

  render() {
    const stride = Math.ceil(this.points.length / MAX_POINTS);
    const points = this.points.filter((_, index) => index % stride === 0 || index === this.points.length - 1);
    const values = points.flatMap(({ losses }) => Object.keys(TERMS).map((term) => losses[term])).filter((value) => value > 0);
    if (!values.length) return;
    this.node.hidden = false;
    const [low, high] = exponentRange(values);
    const lastStep = points.at(-1).step || 1;
    const x = (step) => LEFT_MARGIN + ((WIDTH - LEFT_MARGIN - 4) * step) / lastStep;
    const y = (value) => 6 + (HEIGHT - BOTTOM_MARGIN - 6) * ((high - Math.log10(value)) / (high - low));
    this.renderGrid(low, high, lastStep, y);
    for (const [term, line] of Object.entries(this.lines)) {
      const visible = points.filter(({ losses }) => losses[term] >= 10 ** low);
      const coordinates = ({ step, losses }) => `${x(step).toFixed(1)},${y(losses[term]).toFixed(1)}`;
      line.setAttribute("points", visible.map(coordinates).join(" "));
      this.values[term].textContent = number(points.at(-1).losses[term]);
    }
    this.svg.dataset.points = this.points.length;
    this.setLabel(points[0], points.at(-1));
  }

  setLabel(first, last) {
    const totals = `from ${number(first.losses.total)} to ${number(last.losses.total)}`;
    this.svg.setAttribute("aria-label", `Loss by step, log scale: total ${totals} in ${last.step} steps`);
  }

  renderGrid(low, high, lastStep, y) {
    const stride = Math.ceil((high - low) / 5);
    const exponents = Array.from({ length: Math.floor((high - low) / stride) + 1 }, (_, index) => low + index * stride);
    const isShort = low >= -4 && high <= 4; // as decimals
    const label = (exponent) => (isShort ? Number(`1e${exponent}`) : `1e${exponent}`);
    const gridLine = (exponent) => {
      const top = y(10 ** exponent);
      return h("g", {},
        h("line", { x1: LEFT_MARGIN, x2: WIDTH, y1: top, y2: top }),
        h("text", { x: LEFT_MARGIN - 5, y: top + 3, "text-anchor": "end" }, label(exponent)));
    };
    this.grid.replaceChildren(
      ...exponents.map(gridLine),
      h("text", { x: LEFT_MARGIN, y: HEIGHT - 4 }, "0"),
      h("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, `step ${lastStep}`),
    );
  }
}

/** Return the exponents of ten that enclose the values, at least 1 and at most MAX_DECADES apart; `low` may exclude small values. */
function exponentRange(values) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return [Math.max(low, high - MAX_DECADES), high];
}
