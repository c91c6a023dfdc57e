/** The gallery: what has ended as a wall of pictures, newest first, page by page. */

import { call } from "./api.js";
import { Detail } from "./detail.js";
import { $, h, tell } from "./dom.js";
import { STATES, recipeLine, when } from "./format.js";
import { session } from "./session.js";

const PAGE = 24;
let only = "succeeded";
let cursor = null;

const wall = $("#wall");
const detail = new Detail($("#detail"), (id) => wall.querySelector(`[data-id="${id}"]`)?.remove());

async function more() {
  const asked = new URLSearchParams({ limit: PAGE, ...(only && { state: only }), ...(cursor && { cursor }) });
  try {
    const { jobs, next_cursor } = await call(`/v1/jobs?${asked}`, { tries: 4 });
    wall.append(...jobs.map(card));
    cursor = next_cursor;
    tell($("#said"), `${wall.children.length} shown`);
  } catch (error) {
    tell($("#said"), error.message);
  }
  $("#further").hidden = !cursor;
  $("#none").hidden = wall.children.length > 0;
}

function card(job) {
  const told = `${job.state === "succeeded" ? "" : `${STATES[job.state]} · `}${recipeLine(job.recipe)}`;
  const picture = h("img", { src: job.urls.preview || `${job.urls.content}?longest=512`, alt: "", loading: "lazy" });
  return h("li", { "data-id": job.id }, h("button", { type: "button", onclick: () => detail.open(job) }, picture, h("span", {}, when(job.created_at)), h("small.soft", {}, told)));
}

function filter(state) {
  only = state;
  cursor = null;
  wall.replaceChildren();
  $("#finished").setAttribute("aria-pressed", String(Boolean(state)));
  $("#everything").setAttribute("aria-pressed", String(!state));
  return more();
}

$("#further").addEventListener("click", more);
$("#finished").addEventListener("click", () => filter("succeeded"));
$("#everything").addEventListener("click", () => filter(""));
await session();
await more();
