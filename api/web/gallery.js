/** The gallery: what has ended as a wall of pictures, newest first, page by page; /gallery?job=ID shows one close up. */

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
  const open = () => (history.pushState("here", "", `?job=${job.id}`), detail.open(job));
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

const asked = () => new URLSearchParams(location.search).get("job");

/** Show what the address says. */
async function arrive() {
  const id = asked();
  if (!id) return $("#detail").close();
  try {
    const job = await call(`/v1/jobs/${encodeURIComponent(id)}`, { tries: 4 });
    if (asked() === id) detail.open(job);
  } catch (error) {
    if (asked() === id) tellIf($("#wrong"), error.message);
  }
}

/** The visitor has closed it: Back, if the wall was there before; a shared address has nothing of ours behind it. */
function left() {
  if (!asked()) return;
  if (history.state === "here") history.back();
  else history.replaceState(null, "", location.pathname);
}

$("#detail").addEventListener("close", left);
addEventListener("popstate", arrive);
$("#further").addEventListener("click", more);
$("#finished").addEventListener("click", () => filter("succeeded"));
$("#everything").addEventListener("click", () => filter(""));
enter(() => more().then(arrive));
