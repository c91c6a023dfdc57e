/* Accessibility rules. Runs inside the page and returns the violations, each as a sentence. */
() => {
  const violations = [];
  const isVisible = (node) => node.checkVisibility({ opacityProperty: false, visibilityProperty: true }) && !node.closest("[hidden]");
  const visible = (selector) => [...document.querySelectorAll(selector)].filter(isVisible);
  const report = (node, problem) => violations.push(`${node.outerHTML.slice(0, 120)}: ${problem}`);
  const text = (node) => [...node.childNodes].map((child) => child.nodeType === 3 ? child.data : child.getAttribute?.("aria-hidden") === "true" ? "" : child.alt ?? text(child)).join("").trim();
  const textOfIds = (ids) => (ids || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ").trim();
  const name = (node) => node.getAttribute("aria-label") || textOfIds(node.getAttribute("aria-labelledby")) || [...(node.labels || [])].map(text).join(" ").trim() || text(node);

  if (!document.documentElement.lang) violations.push("the page has no language");
  if (visible("h1").length !== 1) violations.push(`there are ${visible("h1").length} h1 elements`);
  if (visible("main").length !== 1) violations.push("there is no main element, or several");
  if (document.querySelector("meta[name=viewport]").content.match(/user-scalable=no|maximum-scale/)) violations.push("zooming is disabled");
  for (const node of visible("input, select, textarea, button, a[href], summary, progress, [role=img], dialog[open]")) if (!name(node)) report(node, "has no name");
  for (const node of visible("img")) if (!node.hasAttribute("alt")) report(node, "has no alt");
  for (const node of visible("a[href] > img:only-child")) if (!node.alt && !name(node.parentElement)) report(node, "is the only content of a link and has no text");
  for (const node of visible("[aria-describedby], [aria-labelledby]")) {
    for (const id of `${node.getAttribute("aria-describedby") || ""} ${node.getAttribute("aria-labelledby") || ""}`.trim().split(/\s+/)) if (!document.getElementById(id)) report(node, `refers to ${id}, which does not exist`);
  }
  for (const node of document.querySelectorAll(":not([hidden] *).error[id]")) if (node.role !== "alert" && !document.querySelector(`[aria-describedby~="${node.id}"]`)) report(node, "is not announced");
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) violations.push(`the id ${id} is not unique`);
  for (const node of document.querySelectorAll("[tabindex]")) if (node.tabIndex > 0) report(node, "changes the tab order");
  for (const node of visible("[style]")) if (node.getAttribute("style").match(/(^|;)\s*[a-z]/)) report(node, "has an inline style");
  let level = 1;
  for (const node of visible("h1, h2, h3, h4")) {
    if (Number(node.tagName[1]) > level + 1) report(node, "skips a heading level");
    level = Number(node.tagName[1]);
  }

  /* Contrast of each text with the colors behind it, as defined by WCAG 2.2; at least 4.5. */
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const blend = ([red, green, blue, alpha], below) => [red, green, blue].map((value, index) => value * alpha + below[index] * (1 - alpha));
  const background = (node) => (node ? blend(rgba(getComputedStyle(node).backgroundColor), background(node.parentElement)) : rgba("Canvas").slice(0, 3));
  const luminance = (color) => color.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const contrast = (one, other) => (Math.max(luminance(one), luminance(other)) + 0.05) / (Math.min(luminance(one), luminance(other)) + 0.05);
  for (const node of visible("body *")) {
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!hasText || node.closest(".visually-hidden, .skip-link, script, option") || node.disabled) continue;
    const style = getComputedStyle(node);
    const behind = background(node);
    const ratio = contrast(blend(rgba(node.closest("svg") ? style.fill : style.color), behind), behind);
    if (ratio < 4.5) report(node, `has a contrast of ${ratio.toFixed(2)}`);
  }
  return violations;
}
