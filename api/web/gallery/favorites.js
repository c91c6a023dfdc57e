/** Favorite jobs. A job cannot be changed after its submission, so this browser remembers them. */

import { h } from "../common/dom.js";

const KEY = "easel.favorites";
const MAX = 200;

/** Return the IDs, newest first. */
export function favorites() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // storage is disabled, or holds something else
  }
}

function save(ids) {
  try {
    localStorage.setItem(KEY, JSON.stringify(ids.slice(0, MAX)));
  } catch {
    // storage is disabled or full: the star lasts until the page is left
  }
}

export const forget = (id) => save(favorites().filter((other) => other !== id));

/** Return a button that makes a job a favorite, or no longer one. */
export function createStar(id) {
  const button = h("button.star", { type: "button", "aria-label": "Favorite", onclick: toggle }, "★");
  const show = (isFavorite) => button.setAttribute("aria-pressed", String(isFavorite));
  show(favorites().includes(id));
  return button;

  function toggle() {
    const isFavorite = button.getAttribute("aria-pressed") !== "true";
    forget(id);
    if (isFavorite) save([id, ...favorites()]);
    show(isFavorite);
  }
}
