/** The loss by step, all terms, on a logarithmic scale, as SVG. */

import { eachFrame, h } from "./dom.js";
import { number } from "./format.js";

const [WIDTH, HEIGHT, LEFT, BELOW] = [340, 170, 34, 18];
const TERMS = { total: "Total", style: "Style", content: "Content", total_variation: "Smoothness" };
const MOST = 240; // points drawn of a line

export class Curves {
  constructor() {
    this.points = []; // {step, losses}, steps rising
    this.lines = Object.fromEntries(Object.keys(TERMS).map((term) => [term, h(`polyline.${term}`)]));
    this.grid = h("g.grid");
    const drawn = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "No losses yet" };
    this.svg = h("svg", drawn, this.grid, Object.values(this.lines));
    this.values = Object.fromEntries(Object.keys(TERMS).map((term) => [term, h("td")]));
    const row = ([term, name]) => h("tr", {}, h("th", { scope: "row" }, h(`i.${term}`), name), this.values[term]);
    const legend = h("table", {}, h("tbody", {}, Object.entries(TERMS).map(row)));
    this.node = h("section.curves", { hidden: true }, h("h2", {}, "Loss"), this.svg, legend);
    this.draw = eachFrame(() => this.render());
  }

  /** A step that comes again was done again: what followed it is no more. */
  add(step, losses) {
    while (this.points.length && this.points.at(-1).step >= step) this.points.pop();
    this.points.push({ step, losses });
    this.draw();
  }

  render() {
    const every = Math.ceil(this.points.length / MOST);
    const points = this.points.filter((_, at) => at % every === 0 || at === this.points.length - 1);
    const all = points.flatMap(({ losses }) => Object.keys(TERMS).map((term) => losses[term]));
    const values = all.filter((value) => value > 0);
    if (!values.length) return;
    this.node.hidden = false;
    const [low, high] = decades(values);
    const last = points.at(-1).step || 1;
    const x = (step) => LEFT + ((WIDTH - LEFT - 4) * step) / last;
    const y = (value) => 6 + (HEIGHT - BELOW - 6) * ((high - Math.log10(value)) / (high - low));
    this.rule(low, high, last, y);
    for (const [term, line] of Object.entries(this.lines)) {
      const drawn = points.filter(({ losses }) => losses[term] > 0); // zero has no logarithm
      const corner = ({ step, losses }) => `${x(step).toFixed(1)},${y(losses[term]).toFixed(1)}`;
      line.setAttribute("points", drawn.map(corner).join(" "));
      this.values[term].textContent = number(points.at(-1).losses[term]);
    }
    this.svg.dataset.points = this.points.length;
    this.describe(points[0], points.at(-1));
  }

  describe(first, last) {
    const way = `from ${number(first.losses.total)} to ${number(last.losses.total)} in ${last.step} steps`;
    this.svg.setAttribute("aria-label", `Loss by step, logarithmic: the total went ${way}`);
  }

  rule(low, high, last, y) {
    const every = Math.ceil((high - low) / 5);
    const powers = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, at) => low + at * every);
    const label = (power) => (power >= -2 && power <= 4 ? Number(`1e${power}`).toLocaleString("en") : `1e${power}`);
    const ruled = (power) => {
      const at = y(10 ** power);
      return h("g", {},
        h("line", { x1: LEFT, x2: WIDTH, y1: at, y2: at }),
        h("text", { x: LEFT - 5, y: at + 3, "text-anchor": "end" }, label(power)));
    };
    this.grid.replaceChildren(
      ...powers.map(ruled),
      h("text", { x: LEFT, y: HEIGHT - 4 }, "0"),
      h("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, `step ${last}`),
    );
  }
}

/** The powers of ten that hold all values between them; never the same one twice. */
function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))];
}
