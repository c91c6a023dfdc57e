/** What to do with a result, directly below it: download it in a format, look at it closely, and share or repeat it. */

import { call, requiresKey } from "../common/api.js";
import { $, h, setText } from "../common/dom.js";

const FORMATS = {
  png: "PNG, exact",
  jpeg: "JPEG, small",
  webp: "WebP, smallest",
  tiff: "TIFF, to edit",
};
const SHARE_SECONDS = 7 * 86_400;
const DONE = {
  "Copy link": "Copied the link. Others need access to this service to open it.",
  "Copy share link": "Copied a link to the picture. Anyone who has it can see the picture for 7 days.",
};
const CODE = ["curl", "CLI", "Python", "JavaScript"];

/** Return an element for a job with a result. */
export function createResultActions(job) {
  const { id, urls } = job;
  const download = h("a.button.primary", { download: true }, "Download");
  const options = Object.entries(FORMATS).map(([value, name]) => h("option", { value }, name));
  const format = h("select", { "aria-label": "File format", oninput: setFormat }, options);
  const status = h("p.muted", { role: "status" });
  const view = h("button", { type: "button", onclick: openViewer }, "True size");
  const items = [
    ["Copy link", () => `${location.origin}/?job=${id}`],
    ...(requiresKey() ? [["Copy share link", share]] : []), // without keys, the service answers this computer only
    ...CODE.map((kind) => [`Copy as ${kind}`, () => snippet(kind)]),
  ];
  const button = ([name, text]) => h("button.quiet", { type: "button", onclick: () => copy(name, text) }, name);
  const menu = h("details.menu", { onfocusout: closeMenu, onkeydown: (event) => event.key === "Escape" && menu.open && (event.preventDefault(), (menu.open = false)) },
    h("summary.button", {}, "Share"), h("div.panel", {}, items.map(button)));
  setFormat();
  return h("section.result-actions", { "aria-label": "Result" }, h("div.row", {}, download, format, view, menu), status);

  function setFormat() {
    download.setAttribute("href", format.value === "png" ? urls.result : `${urls.result}?format=${format.value}`);
  }

  function closeMenu({ relatedTarget }) {
    if (!menu.contains(relatedTarget)) menu.open = false;
  }

  async function openViewer() {
    const { showViewer } = await import("./viewer.js");
    showViewer(urls.result, "Result");
  }

  /** A link that shows the picture to anyone until it expires. */
  async function share() {
    const body = JSON.stringify({ expires_in: SHARE_SECONDS, format: format.value });
    const link = await call(`/v1/jobs/${id}/share`, { method: "POST", body, headers: { "Content-Type": "application/json" }, tries: 3 });
    return new URL(link.url, location.origin).href;
  }

  async function snippet(kind) {
    const [{ snippets }, { presets }] = await Promise.all([import("./snippets.js"), call("/v1/recipes", { tries: 3 })]);
    return snippets[kind](job, presets);
  }

  async function copy(name, getText) {
    menu.open = false;
    $("summary", menu).focus();
    let text;
    try {
      text = await getText();
    } catch (error) {
      return setText(status, error.message);
    }
    try {
      await navigator.clipboard.writeText(text);
      setText(status, DONE[name] ?? `${name.replace("Copy", "Copied")}.`);
    } catch {
      status.replaceChildren("The browser blocked copying. Select and copy this text:", h("pre", { tabindex: 0 }, text));
    }
  }
}
