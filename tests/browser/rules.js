/* Accessibility by hand-written rules: returns what breaks them, each as a sentence. Run inside the page. */
() => {
  const found = [];
  const visible = (node) => node.checkVisibility({ opacityProperty: false, visibilityProperty: true }) && !node.closest("[hidden]");
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const say = (node, what) => found.push(`${node.outerHTML.slice(0, 120)}: ${what}`);
  const text = (node) => [...node.childNodes].map((child) => child.nodeType === 3 ? child.data : child.getAttribute?.("aria-hidden") === "true" ? "" : child.alt ?? text(child)).join("").trim();
  const named = (id) => (id || "").split(" ").map((one) => document.getElementById(one)?.textContent || "").join(" ").trim();
  const name = (node) => node.getAttribute("aria-label") || named(node.getAttribute("aria-labelledby")) || [...(node.labels || [])].map(text).join(" ").trim() || text(node);

  if (!document.documentElement.lang) found.push("the page has no language");
  if (all("h1").length !== 1) found.push(`there are ${all("h1").length} h1`);
  if (all("main").length !== 1) found.push("there is no main part, or several");
  if (document.querySelector("meta[name=viewport]").content.match(/user-scalable=no|maximum-scale/)) found.push("zooming is forbidden");
  for (const node of all("input, select, textarea, button, a[href], summary, progress, [role=img], dialog[open]")) if (!name(node)) say(node, "has no name");
  for (const node of all("img")) if (!node.hasAttribute("alt")) say(node, "has no alt");
  for (const node of all("a[href] > img:only-child")) if (!node.alt && !name(node.parentElement)) say(node, "a link of a picture without words");
  for (const node of all("[aria-describedby], [aria-labelledby]")) {
    for (const id of `${node.getAttribute("aria-describedby") || ""} ${node.getAttribute("aria-labelledby") || ""}`.trim().split(/\s+/)) if (!document.getElementById(id)) say(node, `points to ${id}, which is not here`);
  }
  for (const node of document.querySelectorAll(":not([hidden] *).wrong[id]")) if (node.role !== "alert" && !document.querySelector(`[aria-describedby~="${node.id}"]`)) say(node, "is heard by nobody");
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) found.push(`the id ${id} is there twice`);
  for (const node of document.querySelectorAll("[tabindex]")) if (node.tabIndex > 0) say(node, "jumps the order of the keyboard");
  for (const node of all("[style]")) if (node.getAttribute("style").match(/(^|;)\s*[a-z]/)) say(node, "has a style of its own");
  let level = 1;
  for (const node of all("h1, h2, h3, h4")) {
    if (Number(node.tagName[1]) > level + 1) say(node, "skips a level of headings");
    level = Number(node.tagName[1]);
  }

  /* Contrast as WCAG 2.2 defines it, of every text against the colours behind it; 4.5 at least. */
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], under) => [red, green, blue].map((value, at) => value * alpha + under[at] * (1 - alpha));
  const behind = (node) => (node ? over(rgba(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : rgba("Canvas").slice(0, 3));
  const light = (colour) => colour.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (one, other) => (Math.max(light(one), light(other)) + 0.05) / (Math.min(light(one), light(other)) + 0.05);
  for (const node of all("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest(".sr, .skip, script, option") || node.disabled) continue;
    const style = getComputedStyle(node);
    const ground = behind(node);
    const ratio = contrast(over(rgba(node.closest("svg") ? style.fill : style.color), ground), ground);
    if (ratio < 4.5) say(node, `has a contrast of ${ratio.toFixed(2)}`);
  }
  return found;
}
