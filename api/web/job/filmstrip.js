/** The previews of a job: thumbnails, a range input to scrub, playback, and the time-lapse download. */

import { all, h, oncePerFrame, setText } from "../common/dom.js";

const MAX_THUMBNAILS = 9;
const FRAME_MILLISECONDS = 140;

export class Filmstrip {
  /** `show(frame, isChosen)` displays a frame {step, url, alt, name}: one that a person chose, or the latest one. */
  constructor(show) {
    this.show = show;
    this.frames = new Map(); // by step: a step that is repeated after a resume replaces its frame
    const scrub = () => this.seek(Number(this.range.value));
    const seekToThumbnail = ({ target }) => target.frameIndex !== undefined && this.seek(target.frameIndex);
    const range = { type: "range", min: 0, max: 0, value: 0, "aria-label": "Scrub through previews" };
    this.range = h("input", { ...range, oninput: scrub });
    this.playButton = h("button", { type: "button", onclick: () => (this.timer ? this.stop() : this.play()) }, "Play");
    this.timelapse = h("a.button", { download: true, hidden: true }, "Time-lapse");
    this.thumbnails = h("div.thumbnails", { "aria-hidden": "true", onclick: seekToThumbnail });
    this.caption = h("small.muted", { "aria-hidden": "true" }); // screen readers get it from the range's aria-valuetext
    const controls = h("div.row", {}, this.playButton, h("div.scrubber", {}, this.range, this.caption), this.timelapse);
    this.node = h("section.filmstrip", { "aria-label": "Filmstrip", hidden: true }, this.thumbnails, controls);
    this.draw = oncePerFrame(() => this.render());
    this.followsLatest = true;
  }

  get sortedFrames() {
    return [...this.frames.values()].sort((one, other) => one.step - other.step);
  }

  add(step, url, alt = `Image at step ${step}`, name = `Step ${step.toLocaleString("en")}`) {
    this.frames.set(step, { step, url, alt, name });
    this.draw();
  }

  seek(index) {
    const frames = this.sortedFrames;
    this.range.value = index;
    this.followsLatest = index >= frames.length - 1;
    this.setCaption(frames[index]);
    this.show(frames[index], true);
  }

  setCaption(frame) {
    this.range.setAttribute("aria-valuetext", frame.alt);
    setText(this.caption, frame.name);
  }

  play() {
    let index = this.followsLatest ? 0 : Number(this.range.value);
    this.playButton.textContent = "Pause";
    this.timer = setInterval(() => {
      this.seek(index++);
      if (index >= this.frames.size) this.stop();
    }, FRAME_MILLISECONDS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.playButton.textContent = "Play";
  }

  render() {
    const frames = this.sortedFrames;
    if (!frames.length) return;
    const last = frames.length - 1;
    this.node.hidden = last < 1;
    this.range.max = last;
    if (this.followsLatest && !this.timer) {
      this.range.value = last;
      this.setCaption(frames[last]);
      this.show(frames[last], false);
    }
    this.renderThumbnails(frames, last);
  }

  renderThumbnails(frames, last) {
    const count = Math.min(MAX_THUMBNAILS, frames.length);
    while (this.thumbnails.children.length < count) this.thumbnails.append(h("img", { alt: "", loading: "lazy" }));
    all("img", this.thumbnails).forEach((image, slot) => {
      image.frameIndex = count > 1 ? Math.round((slot * last) / (count - 1)) : 0;
      const { url } = frames[image.frameIndex];
      if (image.getAttribute("src") !== url) image.setAttribute("src", url);
    });
  }
}
