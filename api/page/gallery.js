/** The gallery: what has ended as a wall of pictures, newest first, page by page. */

import { call } from "./api.js";
import { Detail } from "./detail.js";
import { $, h, tell, tellIf } from "./dom.js";
import { STATES, recipeLine, when } from "./format.js";
import { enter } from "./session.js";

const PAGE = 24;
let only = "succeeded";
let cursor = null;
let asking = null; // the newest question; the answer to an earlier one is dropped

const wall = $("#wall");
const detail = new Detail($("#detail"), (id) => (wall.querySelector(`[data-id="${id}"]`)?.remove(), count()));

async function more() {
  const asked = new URLSearchParams({ limit: PAGE, ...(only && { state: only }), ...(cursor && { cursor }) });
  const mine = (asking = {});
  try {
    const found = await call(`/v1/jobs?${asked}`, { tries: 4 });
    if (asking === mine) hang(found);
  } catch (error) {
    if (asking === mine) tellIf($("#wrong"), error.message);
  }
}

function hang({ jobs, next_cursor }) {
  wall.append(...jobs.map(card));
  cursor = next_cursor;
  tellIf($("#wrong"), "");
  $("#further").hidden = !cursor;
  count();
}

function count() {
  tell($("#said"), `${wall.children.length} shown`);
  $("#none").hidden = wall.children.length > 0 || Boolean(cursor);
}

function card(job) {
  const told = `${job.state === "succeeded" ? "" : `${STATES[job.state]} · `}${recipeLine(job.recipe)}`;
  const picture = h("img", { src: job.urls.preview || `${job.urls.content}?longest=512`, alt: "", loading: "lazy" });
  const open = () => detail.open(job);
  return h("li", { "data-id": job.id },
    h("button", { type: "button", onclick: open }, picture, h("span", {}, when(job.created_at)), h("small.soft", {}, told)));
}

function filter(state) {
  only = state;
  cursor = null;
  wall.replaceChildren();
  $("#further").hidden = true;
  $("#finished").setAttribute("aria-pressed", String(Boolean(state)));
  $("#everything").setAttribute("aria-pressed", String(!state));
  return more();
}

$("#further").addEventListener("click", more);
$("#finished").addEventListener("click", () => filter("succeeded"));
$("#everything").addEventListener("click", () => filter(""));
enter(more);
