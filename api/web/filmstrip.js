/** The previews as a film: a range to scrub with, a few frames above it, play, and the time-lapse to keep. */

import { all, eachFrame, h, tell } from "./dom.js";

const THUMBS = 9;
const BEAT = 140; // milliseconds a frame

export class Filmstrip {
  /** `look(frame, atOnce)` hangs a frame {step, url, alt, name}. */
  constructor(look) {
    this.look = look;
    this.frames = new Map(); // by step: one that was done again replaces what was there
    const scrub = () => this.seek(Number(this.range.value));
    const jump = ({ target }) => target.at !== undefined && this.seek(target.at);
    const film = { type: "range", min: 0, max: 0, value: 0, "aria-label": "Scrub through the film" };
    this.range = h("input", { ...film, oninput: scrub });
    this.button = h("button", { type: "button", onclick: () => (this.timer ? this.stop() : this.play()) }, "Play");
    this.timelapse = h("a.button", { download: true, hidden: true }, "Time-lapse");
    this.strip = h("div.frames", { "aria-hidden": "true", onclick: jump });
    this.told = h("small.soft", { "aria-hidden": "true" }); // the range says it aloud
    const controls = h("div.row", {}, this.button, h("div.scrub", {}, this.range, this.told), this.timelapse);
    this.node = h("section.film", { "aria-label": "Film", hidden: true }, this.strip, controls);
    this.draw = eachFrame(() => this.render());
    this.following = true;
  }

  get order() {
    return [...this.frames.values()].sort((one, other) => one.step - other.step);
  }

  add(step, url, alt = `The painting at step ${step}`, name = `Step ${step.toLocaleString("en")}`) {
    this.frames.set(step, { step, url, alt, name });
    this.draw();
  }

  seek(at) {
    const { order } = this;
    this.range.value = at;
    this.following = at >= order.length - 1;
    this.say(order[at]);
    this.look(order[at], true);
  }

  say(frame) {
    this.range.setAttribute("aria-valuetext", frame.alt);
    tell(this.told, frame.name);
  }

  play() {
    let at = this.following ? 0 : Number(this.range.value);
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      this.seek(at++);
      if (at >= this.frames.size) this.stop();
    }, BEAT);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.button.textContent = "Play";
  }

  render() {
    const { order } = this;
    if (!order.length) return;
    const last = order.length - 1;
    this.node.hidden = last < 1;
    this.range.max = last;
    if (this.following && !this.timer) {
      this.range.value = last;
      this.say(order[last]);
      this.look(order[last], false);
    }
    const count = Math.min(THUMBS, order.length);
    const shown = Array.from({ length: count }, (_, at) => (count > 1 ? Math.round((at * last) / (count - 1)) : 0));
    while (this.strip.children.length < count) this.strip.append(h("img", { alt: "", loading: "lazy" }));
    all("img", this.strip).forEach((image, slot) => {
      const frame = order[shown[slot]];
      image.at = shown[slot];
      if (image.getAttribute("src") !== frame.url) image.setAttribute("src", frame.url);
    });
  }
}
