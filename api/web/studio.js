/** The studio: compose a job, or watch the one that the address names (/?job=ID; /?again=ID loads one to change it). */

import { blob, call, freshKey } from "./api.js";
import { $, tell, tellIf } from "./dom.js";
import { sentence } from "./format.js";
import { showRecent } from "./recent.js";
import { enter } from "./session.js";

const OF_IMAGES = new Set([
  "missing_image", "too_many_images", "not_an_image", "broken_image",
  "animated_image", "image_too_large", "image_too_small", "body_too_large",
]);
const [compose, button] = [$("#compose"), $("#submit")];
let pictures, knobs, quote, watch, begun, shown;
let loaded; // the job that was loaded to be done again: once, or Back would undo what was changed since
let key = null; // names the job that is composed, however often it is sent, until it is another

function form() {
  if (!pictures?.complete || !knobs) return null;
  const recipe = { ...knobs.recipe(), ...(pictures.mix && { style_mix: pictures.mix }) };
  return pictures.fillForm(new FormData(), recipe);
}

/** The form, or null; broken JSON has been complained of where it stands. */
function formOrNull() {
  try {
    return form();
  } catch {
    return null;
  }
}

function changed() {
  key = null;
  button.classList.toggle("dim", !pictures?.complete);
  quote?.ask();
}

/** Put each complaint beside what it is about; returns the first such place. */
async function complain(problem) {
  pictures.forgive();
  knobs.forgive();
  tellIf($("#form-error"), "");
  if (!problem) return null;
  let first = null;
  if (OF_IMAGES.has(problem.code)) first = await pictures.complain(problem.message);
  else if (problem.code === "does_not_fit") first = knobs.complain("size", problem.message);
  else {
    const lastFirst = problem.errors.toReversed(); // so that of several about one knob the first stands
    first = lastFirst.map(({ field, message }) => knobs.complain(field, sentence(message))).findLast(Boolean);
  }
  if (!first) tellIf($("#form-error"), problem.message);
  return first;
}

async function submit(event) {
  event.preventDefault();
  await begun; // the form stands there before its parts do
  if (button.getAttribute("aria-busy")) return;
  if (!pictures.photo) return (await pictures.complain("Choose a photo first.", "content")).focus();
  if (!pictures.styles.length) return (await pictures.complain("Choose at least one painting first.", "style")).focus();
  const body = formOrNull();
  if (!body) return $("#compose [aria-invalid]").focus();
  button.setAttribute("aria-busy", "true");
  tell(button, "Sending …");
  try {
    const headers = { "Idempotency-Key": (key ??= freshKey()) };
    const job = await call("/v1/jobs", { method: "POST", body, headers, tries: 8 });
    key = null;
    history.pushState(null, "", `/?job=${job.id}`);
    arrive();
  } catch (error) {
    ((await complain(error)) || button).focus();
  } finally {
    button.removeAttribute("aria-busy");
    tell(button, "Paint it");
  }
}

/** Show what the address says, and load only what that takes. */
async function arrive() {
  if (shown?.search === location.search) return; // only the fragment is another
  const here = (shown = { search: location.search });
  const asked = new URLSearchParams(here.search);
  const id = encodeURIComponent(asked.get("job") ?? asked.get("again"));
  watch?.close();
  watch = null;
  compose.hidden = asked.has("job");
  $("#watch").hidden = !asked.has("job");
  const recent = () => showRecent($("#recent"), asked.get("job"));
  recent();
  if (asked.has("job")) {
    const { Watch } = await import("./watch.js");
    if (shown === here) watch = new Watch($("#watch"), id, recent);
  } else {
    document.title = "Studio · Easel";
    tell($("#title"), "A photo, in the manner of a painting");
    await (begun ??= begin());
    if (asked.has("again") && shown === here && loaded !== id) await again((loaded = id));
  }
}

async function begin() {
  const parts = [import("./upload.js"), import("./knobs.js"), import("./quote.js")];
  const [{ Pictures }, { Knobs }, { Quote }] = await Promise.all(parts);
  pictures = new Pictures(changed);
  knobs = await Knobs.load(changed);
  quote = new Quote($("#quote"), formOrNull, complain, (size) => (knobs.set({ size }), changed()));
  changed();
}

/** Load another job's pictures and recipe. */
async function again(id) {
  try {
    const { recipe, style_count } = await call(`/v1/jobs/${id}`);
    const parts = ["content", ...Array.from({ length: style_count }, (_, at) => `styles/${at}`)];
    const found = await Promise.all(parts.map((part) => blob(`/v1/jobs/${id}/${part}`)));
    const file = (data, at) => new File([data], at ? `style-${at}.png` : "photo.png", { type: "image/png" });
    const [photo, ...styles] = found.map(file);
    knobs.show(recipe);
    pictures.setPhoto(photo);
    pictures.setStyles(styles, recipe.style_mix);
  } catch (error) {
    tellIf($("#form-error"), error.message);
  }
}

addEventListener("popstate", arrive);
compose.addEventListener("submit", submit);
enter(arrive);
