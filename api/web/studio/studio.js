/** The studio: create a job, or view the one in the URL (/?job=ID). /?rerun=ID loads a job into the form. */

import { call, fetchBlob, newIdempotencyKey } from "../common/api.js";
import { $, setText, showText } from "../common/dom.js";
import { sentence } from "../common/format.js";
import { startPage } from "../common/session.js";
import { showRecent } from "./recent.js";

const [compose, button] = [$("#compose"), $("#submit")];
let images, parameters, quotePanel, jobView, formLoaded, route;
let rerunId; // the job last loaded into the form: loading it again on Back would discard later changes
let idempotencyKey = null; // the same for every attempt to submit this form, until the form changes

/** Return the form data, or null if images are missing. Throws SyntaxError if a field holds invalid JSON. */
function formData() {
  if (!images?.isComplete || !parameters) return null;
  const recipe = { ...parameters.recipe(), ...(images.styleMix && { style_mix: images.styleMix }) };
  return images.fillForm(new FormData(), recipe);
}

function onChange() {
  idempotencyKey = null;
  button.classList.toggle("incomplete", !images?.isComplete);
  button.ariaDisabled = null;
  quotePanel?.requestSoon();
}

/** A job that fits no worker would be refused; the quote beside the button says why. */
function onQuote(error, quote) {
  showErrors(error);
  button.ariaDisabled = quote && !quote.fits ? "true" : null;
}

/** Show each error beside its field; null clears them. Returns the first control with an error. */
function showErrors(error) {
  images.clearErrors();
  parameters.clearErrors();
  showText($("#form-error"), "");
  if (!error) return null;
  let control = null;
  if (error.field) control = images.showError(error.message, error.field, error.number);
  else if (error.code === "body_too_large") control = images.showError(error.message, "content");
  else if (error.code === "does_not_fit") control = parameters.showError("size", error.message);
  else {
    const reversed = error.errors.toReversed(); // of several errors of one parameter, the first one remains
    control = reversed.map(({ field, message }) => parameters.showError(field, sentence(message))).findLast(Boolean);
  }
  if (!control) showText($("#form-error"), error.message);
  return control;
}

async function submit(event) {
  event.preventDefault();
  await formLoaded; // the button is visible before the form is loaded
  if (button.getAttribute("aria-busy")) return;
  if (button.ariaDisabled) return quotePanel.requestSoon(); // a larger worker may have started
  if (!images.isComplete) return images.showMissing().focus();
  let body;
  try {
    body = formData();
  } catch {
    return $("#compose [aria-invalid]").focus();
  }
  button.setAttribute("aria-busy", "true");
  setText(button, "Submitting…");
  try {
    const headers = { "Idempotency-Key": (idempotencyKey ??= newIdempotencyKey()) };
    const job = await call("/v1/jobs", { method: "POST", body, headers, tries: 8 });
    idempotencyKey = null;
    history.pushState(null, "", `/?job=${job.id}`);
    showRoute();
  } catch (error) {
    (showErrors(error) || button).focus();
  } finally {
    button.removeAttribute("aria-busy");
    setText(button, "Create");
  }
}

/** Show what the URL names, and load only the modules for that. */
async function showRoute() {
  if (route?.search === location.search) return; // only the fragment has changed
  const thisRoute = (route = { search: location.search });
  const query = new URLSearchParams(route.search);
  const id = encodeURIComponent(query.get("job") ?? query.get("rerun"));
  jobView?.close();
  jobView = null;
  compose.hidden = query.has("job");
  $("#job").hidden = !query.has("job");
  const updateRecent = () => showRecent($("#recent"), query.get("job"));
  updateRecent();
  if (query.has("job")) {
    const { JobView } = await import("../job/job-view.js");
    if (route === thisRoute) jobView = new JobView($("#job"), id, updateRecent);
  } else {
    document.title = "Studio · Easel";
    setText($("#title"), "Turn a photo into art");
    await (formLoaded ??= loadForm());
    if (query.has("rerun") && route === thisRoute && rerunId !== id) await loadJob((rerunId = id));
  }
}

async function loadForm() {
  const modules = [import("./image-inputs.js"), import("./parameters.js"), import("./quote.js")];
  const [{ ImageInputs }, { Parameters }, { QuotePanel }] = await Promise.all(modules);
  images = new ImageInputs(onChange);
  parameters = await Parameters.load(onChange);
  quotePanel = new QuotePanel($("#quote"), formData, onQuote, (size) => (parameters.set({ size }), onChange()));
  onChange();
}

/** Load another job's images and recipe into the form. */
async function loadJob(id) {
  try {
    const { recipe, style_count } = await call(`/v1/jobs/${id}`);
    const parts = ["content", ...Array.from({ length: style_count }, (_, index) => `styles/${index}`)];
    const blobs = await Promise.all(parts.map((part) => fetchBlob(`/v1/jobs/${id}/${part}`)));
    const toFile = (blob, index) => new File([blob], index ? `style-${index}.png` : "photo.png", { type: "image/png" });
    const [photo, ...styles] = blobs.map(toFile);
    parameters.show(recipe);
    images.setPhoto(photo);
    images.setStyles(styles, recipe.style_mix);
  } catch (error) {
    showText($("#form-error"), error.message);
  }
}

addEventListener("popstate", showRoute);
compose.addEventListener("submit", submit);
startPage(showRoute);
