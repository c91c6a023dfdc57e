/** Elements, found and made. Strangers' text enters the page as text only. */

const DRAWN = new Set(["svg", "path", "polyline", "line", "rect", "text", "g", "circle", "title"]);

export const $ = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** `h("p.soft", {id: "x", onclick: act}, "text", child)`; null and false are left out everywhere. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = DRAWN.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Show a text; nothing is touched where it stands already, so that screen readers keep quiet. */
export function tell(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show `text` in an element that is hidden while there is none. */
export function tellIf(node, text) {
  node.hidden = !text;
  tell(node, text || "");
}

/**
 * Make the children of `list` those of `items`: kept where the key is known, so that focus and pictures stay.
 * `make(item)` gives a part {node, leave?}; `leave()` hears that its item is gone.
 */
export function keyed(list, items, key, make, update) {
  const known = (list.known ??= new Map());
  const wanted = new Map(items.map((item) => [key(item), item]));
  for (const [id, part] of known) if (!wanted.has(id)) (part.node.remove(), part.leave?.(), known.delete(id));
  let place = list.firstElementChild;
  for (const [id, item] of wanted) {
    if (!known.has(id)) known.set(id, make(item));
    const part = known.get(id);
    update?.(part, item);
    if (part.node === place) place = place.nextElementSibling;
    else list.insertBefore(part.node, place);
  }
}

/** At most one call in a frame, however often it is asked for. */
export function eachFrame(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => ((asked = 0), draw()));
  };
}
