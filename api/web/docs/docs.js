/** The API reference: a form to try each operation, and the same as a curl command. Both are built from /openapi.json. */

import { call, requestResponse, requiresKey } from "../common/api.js";
import { $, all, h, setText, showText } from "../common/dom.js";
import { loadSession, openSession } from "../common/session.js";

const MAX_TEXT = 20_000; // characters of a response to show
const isFile = ({ format, contentMediaType } = {}) => format === "binary" || (contentMediaType && contentMediaType !== "application/json");
const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

let documentLoaded; // a promise of the OpenAPI document

/** Return [field, ...] of an operation: {name, in, schema, isRequired}, `in` being path, query, header, form or json. */
function fieldsOf({ parameters = [], requestBody }, root) {
  const fields = parameters.map(({ name, in: place, schema, required }) => ({ name, in: place, schema, isRequired: required }));
  const [media, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  if (media === "application/json") fields.push({ name: "body", in: "json", schema: content.schema, isRequired: requestBody.required !== false });
  else if (media) {
    const schema = resolve(content.schema, root);
    for (const [name, property] of Object.entries(schema.properties)) fields.push({ name, in: "form", schema: property, isRequired: schema.required?.includes(name) });
  }
  return fields;
}

const resolve = (schema, root) => (schema?.$ref ? root.components.schemas[schema.$ref.split("/").pop()] : schema);

function createInput({ name, in: place, schema, isRequired }, root) {
  const attributes = { name, required: isRequired, autocomplete: "off" };
  const item = resolve(schema?.type === "array" ? schema.items : schema, root);
  if (place === "json") return h("textarea", { ...attributes, rows: 4, spellcheck: "false" }, JSON.stringify(exampleOf(item, root), null, 2));
  if (isFile(item)) return h("input", { ...attributes, type: "file", multiple: schema.type === "array" });
  if (item?.enum || item?.type === "boolean") return h("select", attributes, ["", ...(item.enum ?? ["true", "false"])].map((value) => h("option", { value }, value)));
  if (item?.type === "object") return h("input", { ...attributes, type: "text", placeholder: "key=value" });
  return h("input", { ...attributes, type: "text", placeholder: item?.example ?? item?.examples?.[0] ?? item?.default ?? "" });
}

/** An object with the required properties, or the example of the schema. */
function exampleOf(schema, root) {
  if (schema?.examples ?? schema?.example) return schema.examples?.[0] ?? schema.example;
  const required = Object.entries(schema?.properties ?? {}).filter(([name]) => schema.required?.includes(name));
  return Object.fromEntries(required.map(([name, property]) => [name, resolve(property, root)?.examples?.[0] ?? ""]));
}

/** "order=6735" -> ["metadata[order]", "6735"] */
function deepParameter(name, text) {
  const [key, ...value] = text.split("=");
  return [`${name}[${key}]`, value.join("=")];
}

/** Return {url, options, curl} of a filled form. */
function requestOf(method, path, fields, inputs) {
  const headers = {};
  const url = new URL(path, location.origin);
  const parts = new FormData();
  const curl = requiresKey() ? ['-H "Authorization: Bearer $EASEL_API_KEY"'] : [];
  const unfilled = fields.filter(({ in: place }, index) => place === "path" && !inputs[index].value);
  let body;
  fields.forEach(({ name, in: place, schema }, index) => {
    const input = inputs[index];
    const values = input.files ? [...input.files] : input.value ? [input.value] : [];
    for (const value of values) {
      if (place === "path") url.pathname = url.pathname.replace(`%7B${name}%7D`, encodeURIComponent(value));
      else if (place === "query" && schema.type === "object") url.searchParams.set(...deepParameter(name, value));
      else if (place === "query") url.searchParams.set(name, value);
      else if (place === "header") (headers[name] = value), curl.push(`-H ${shellQuote(`${name}: ${value}`)}`);
      else if (place === "form") parts.append(name, value), curl.push(`-F ${shellQuote(`${name}=${value instanceof File ? `@${value.name}` : value}`)}`);
      else (body = value), (headers["Content-Type"] = "application/json"), curl.push(`-H 'Content-Type: application/json' -d ${shellQuote(value)}`);
    }
  });
  if (fields.some(({ in: place }) => place === "form")) body = parts;
  const address = unfilled.reduce((text, { name }) => text.replace(`%7B${name}%7D`, `{${name}}`), url.href);
  const verb = method === "GET" ? [] : [`-X ${method}`];
  return { url: url.pathname + url.search, options: { method, headers, body }, curl: ["curl", ...verb, shellQuote(address), ...curl].join(" ") };
}

/** Load the OpenAPI document, once. */
function loadDocument() {
  const forget = (error) => {
    documentLoaded = null;
    throw error;
  };
  return (documentLoaded ??= call("/openapi.json").catch(forget));
}

/** Fill the section of an operation when it is opened for the first time. */
async function createForm(details) {
  const { method, path } = details.dataset;
  const place = $(".try", details);
  place.replaceChildren();
  let root;
  try {
    root = await loadDocument();
    await loadSession().catch(() => {}); // only the curl command needs it
  } catch ({ message }) {
    const retry = h("button.small", { type: "button", onclick: () => createForm(details) }, "Try again");
    return place.replaceChildren(h("p.error", { role: "alert" }, `${message} `, retry));
  }
  const operation = root.paths[path][method];
  const fields = fieldsOf(operation, root);
  const inputs = fields.map((field) => createInput(field, root));
  const isStream = Object.values(operation.responses).some(({ content }) => content?.["text/event-stream"]);
  const [curl, response] = [h("pre", { tabindex: 0 }), h("div.response", { role: "status" })];
  const send = h("button.primary.small", {}, "Send");
  const current = () => requestOf(method.toUpperCase(), path, fields, inputs);
  const showCurl = () => setText(curl, current().curl);
  const label = (field, input) => h("label", {}, h("code", {}, field.name), input);
  const form = h("form.try-form", { oninput: showCurl }, fields.map((field, index) => label(field, inputs[index])), isStream ? null : h("p", {}, send));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const { url, options } = current();
    try {
      await openSession();
      await showResponse(response, await requestResponse(url, options));
    } catch ({ message }) {
      showText(response, message);
    } finally {
      send.disabled = false;
    }
  });
  showCurl();
  place.append(h("h3", {}, "Try it"), form, curl, response);
}

async function showResponse(node, response) {
  const media = response.headers.get("Content-Type")?.split(";")[0] ?? "";
  const status = h("p", {}, h("b", {}, `${response.status} `), h("span.muted", {}, media));
  if (media.startsWith("image/")) {
    const url = URL.createObjectURL(await response.blob());
    const image = h("img", { src: url, alt: "The image of the response", onload: () => URL.revokeObjectURL(url) });
    return node.replaceChildren(status, image);
  }
  const text = await response.text();
  const shown = media.endsWith("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
  node.replaceChildren(status, ...(text ? [h("pre", { tabindex: 0 }, shown.slice(0, MAX_TEXT))] : []));
}

/** A link to an operation opens it. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

for (const details of all("details[data-path]")) details.addEventListener("toggle", () => createForm(details), { once: true });
addEventListener("hashchange", openTarget);
openTarget();
