/** The form that submits a job: images, recipe, and the optional inputs, whose modules are loaded when they are needed. */

import { call, fetchBlob, newIdempotencyKey } from "../common/api.js";
import { $, setText, showText } from "../common/dom.js";
import { sentence } from "../common/format.js";
import { Examples } from "./examples.js";
import { ImageInputs } from "./image-inputs.js";
import { Parameters } from "./parameters.js";
import { QuotePanel } from "./quote.js";
import { TierChoice } from "./tier-choice.js";
import { TitleField } from "./title-field.js";
import { forgetUploads, isRefusal } from "./uploads.js";

const OPTIONAL_FIELDS = ["content_mask", "style_mask", "init_image", "init_job"];
const IMAGE_NAMES = { content: "photo", style: "style image", content_mask: "mask", style_mask: "mask of the style", init_image: "start image", init_job: "start image" };
const [section, button] = [$("#optional"), $("#submit")];
let images, examples, parameters, tiers, title, quotePanel, optional, optionalLoaded, onSubmitted;
let refused = null; // the input of an image that the service does not accept, until a later quote accepts it
let loadedQuery; // of the job last loaded into the form: loading it again on Back would discard later changes
let idempotencyKey = null; // the same for every attempt to submit this form, until the form changes

/** `showJob(id)` is called after a submission. */
export async function loadForm(showJob) {
  onSubmitted = showJob;
  title = new TitleField(() => (idempotencyKey = null));
  images = new ImageInputs(onPhotoOrStyles, onChange);
  examples = new Examples(images);
  [parameters, tiers] = await Promise.all([Parameters.load(onChange), TierChoice.load(onChange)]);
  $("#artist-controls").append(tiers.node, title.node);
  quotePanel = new QuotePanel($("#quote"), sendForm, onQuote, (size) => (parameters.set({ size }), onChange()));
  section.addEventListener("toggle", loadOptional);
  if (section.open) await loadOptional();
  onChange();
}

/** Resolve when the section of masks and start image can be used. */
function loadOptional() {
  return (optionalLoaded ??= import("./optional-inputs.js")
    .then(({ OptionalInputs }) => OptionalInputs.load(images, parameters, onImages))
    .then((inputs) => ((optional = inputs), optional.render())));
}

/** Return the form data, or null if images are missing. Uploads the images that are new. Throws ApiError. */
async function formData() {
  const mix = !optional?.masks.files.length && images.styleMix;
  const form = new FormData();
  form.append("recipe", JSON.stringify({ ...parameters.recipe(), ...(mix && { style_mix: mix }) }));
  tiers.fillForm(form);
  title.fillForm(form);
  await images.fillForm(form);
  await optional?.fillForm(form);
  return images.isComplete ? form : null;
}

/** Return `send(form)`, once more if an uploaded image has expired. */
async function sendForm(send) {
  const form = await formData();
  if (!form) return null;
  try {
    return await send(form);
  } catch (error) {
    if (error.code !== "image_not_found") throw error;
    forgetUploads();
    return send(await formData());
  }
}

function onPhotoOrStyles() {
  if (images) title.suggest(images);
  onImages();
}

function onImages() {
  if (refused) quotePanel.renderChecking();
  onChange();
}

function onChange() {
  idempotencyKey = null;
  button.classList.toggle("incomplete", !images?.isComplete);
  showDisabled(refused);
  if (!images?.isComplete) parameters?.showTimes({});
  examples?.render();
  optional?.render();
  quotePanel?.requestSoon();
}

/** A job with a refused image, or that fits no worker, would be refused; the text beside the button says why. */
function onQuote(error, quote) {
  const control = (error || quote) && showErrors(error); // else what is missing may be shown
  parameters.showTimes(quote?.sizes ?? {});
  refuse(error, control);
  showDisabled(refused || (quote && !quote.fits));
}

/** Remember the input of a refused image. */
function refuse(error, control) {
  refused = error && isRefusal(error) ? control : null;
  if (refused) quotePanel.renderError(`Choose another ${IMAGE_NAMES[error.field]}. ${error.message}`);
}

const showDisabled = (isDisabled) => (button.ariaDisabled = isDisabled ? "true" : null);

/** Show each error beside its field; null clears them. Returns the first control with an error. */
function showErrors(error) {
  images.clearErrors();
  parameters.clearErrors();
  optional?.clearErrors();
  showText($("#form-error"), "");
  if (!error) return null;
  let control = null;
  if (OPTIONAL_FIELDS.includes(error.field)) control = showOptionalError(error);
  else if (error.field) control = images.showError(error.message, error.field, error.number);
  else if (error.code === "body_too_large") control = images.showError(error.message, "content");
  else if (error.code === "does_not_fit") control = parameters.showError("size", error.message);
  else {
    const reversed = error.errors.toReversed(); // of several errors of one parameter, the first one remains
    control = reversed.map(({ field, message }) => parameters.showError(field, sentence(message))).findLast(Boolean);
  }
  if (!control) showText($("#form-error"), error.message);
  return control;
}

function showOptionalError({ message, field, number }) {
  section.open = true;
  return optional.showError(message, field, number);
}

export async function submit() {
  if (button.getAttribute("aria-busy")) return;
  if (refused) return refused.focus();
  if (button.ariaDisabled) return quotePanel.requestSoon(); // a larger worker may have started
  if (!images.isComplete) return images.showMissing().focus();
  if (optional?.missing) return showOptionalError(optional.missing).focus();
  button.setAttribute("aria-busy", "true");
  setText(button, "Submitting…");
  try {
    const headers = { "Idempotency-Key": (idempotencyKey ??= newIdempotencyKey()) };
    const job = await sendForm((body) => call("/v1/jobs", { method: "POST", body, headers, tries: 8 }));
    idempotencyKey = null;
    onSubmitted(job.id);
  } catch (error) {
    const control = showErrors(error);
    refuse(error, control);
    showDisabled(refused);
    (control || button).focus();
  } finally {
    button.removeAttribute("aria-busy");
    setText(button, "Create");
  }
}

/** Load another job's images and recipe into the form; with `init_job` in the query, its result is the start image. */
export async function loadJob(query) {
  if (loadedQuery === query.toString()) return;
  loadedQuery = query.toString();
  const startsFromResult = query.has("init_job");
  try {
    const { id, tier, recipe, metadata, urls } = await call(`/v1/jobs/${encodeURIComponent(query.get("rerun") ?? query.get("init_job"))}`);
    const start = startsFromResult || !urls.init_image ? [] : [urls.init_image];
    const parts = { photo: [urls.content], style: urls.styles, mask: urls.content_masks, start };
    const [[photo], styles, masks, [init]] = await Promise.all(Object.entries(parts).map(fetchFiles));
    if (masks.length || init || startsFromResult) await loadOptional();
    const hasSteps = recipe.steps || !startsFromResult; // without any, the start would be the result
    parameters.show(hasSteps ? recipe : parameters.presets.default);
    tiers.set(tier);
    images.setPhoto(photo);
    images.setStyles(styles, recipe.style_mix);
    title.set(metadata.title);
    optional?.show(masks, startsFromResult ? { job: id, url: urls.result, title: metadata.title } : init && { file: init });
    section.open = Boolean(masks.length || init || startsFromResult);
  } catch (error) {
    showText($("#form-error"), error.message);
  }
}

/** Return the images as files with names such as style-1.png, which say nothing of what they show. */
function fetchFiles([name, urls]) {
  const createFile = (blob, index) => new File([blob], `${name}-${index + 1}.png`, { type: "image/png" });
  const fetchFile = async (url, index) => Object.assign(createFile(await fetchBlob(url), index), { isUnnamed: true });
  return Promise.all(urls.map(fetchFile));
}
