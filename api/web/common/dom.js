/** Find and create elements. User text enters the page as text only, never as HTML. */

const SVG_TAGS = new Set(["svg", "path", "polyline", "line", "rect", "text", "g", "circle", "title"]);

export const $ = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** `h("p.muted", {id: "x", onclick: handler}, "text", child)`. Null, undefined and false are skipped. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = SVG_TAGS.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Load a style sheet. Resolves also if that fails: the page works without it. */
export const loadStyles = (href) =>
  new Promise((resolve) => document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve })));

/** Return "384 × 256 px", or null if the image cannot be loaded. */
export async function imageSize(url) {
  const image = h("img", { src: url });
  await image.decode().catch(() => {});
  return image.naturalWidth ? `${image.naturalWidth} × ${image.naturalHeight} px` : null;
}

/** Set the text of `node`. Unchanged text is not written again, so screen readers do not repeat it. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set the text of `node`, and hide `node` if the text is empty. */
export function showText(node, text) {
  node.hidden = !text;
  setText(node, text || "");
}

/**
 * Update the children of `list` to match `items`. Items with a known key keep their element, so focus and loaded images stay.
 * `create(item)` returns {node, onRemove?}; `update(entry, item)` is called for new and existing entries.
 */
export function updateList(list, items, key, create, update) {
  const entries = (list.entries ??= new Map());
  const itemsByKey = new Map(items.map((item) => [key(item), item]));
  for (const [id, entry] of entries) if (!itemsByKey.has(id)) (entry.node.remove(), entry.onRemove?.(), entries.delete(id));
  let next = list.firstElementChild;
  for (const [id, item] of itemsByKey) {
    if (!entries.has(id)) entries.set(id, create(item));
    const entry = entries.get(id);
    update?.(entry, item);
    if (entry.node === next) next = next.nextElementSibling;
    else list.insertBefore(entry.node, next);
  }
}

/** Return a function that calls `draw` at most once per animation frame. */
export function oncePerFrame(draw) {
  let request = 0;
  return () => {
    request ||= requestAnimationFrame(() => ((request = 0), draw()));
  };
}
