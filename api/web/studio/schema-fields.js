/** Form fields from JSON Schema. No parameter is named here, so a new one needs no change of the page. */

import { h, showText } from "../common/dom.js";
import { fieldName, words } from "../common/format.js";
import { createRows } from "./row-fields.js";

const resolve = (schema, root) => (schema.$ref ? { ...root.$defs[schema.$ref.split("/").pop()], ...schema } : schema);

/** Return {node, get(), set(value), showError(path, text)} for one property. */
export function createField(path, property, root, onChange) {
  const schema = resolve(property, root);
  if (schema.const !== undefined) return { get: () => schema.const, set() {}, showError: () => false };
  if (schema.oneOf) return createUnion(path, schema, root, onChange);
  if (schema.type === "object" && schema.properties) return createGroup(path, schema, root, onChange);
  if (!isScalar(schema)) return createRows(path, schema, (items) => resolve(items, root), createHelp(path, schema), onChange);
  return createSingleField(path, schema, onChange);
}

const createHelp = (path, schema) =>
  h("small.muted", { id: `parameter-${path}-help` }, [schema.description?.replaceAll("`", ""), limits(schema)].filter(Boolean).join(" "));

function createSingleField(path, schema, onChange) {
  const id = `parameter-${path}`;
  const error = h("p.error", { id: `${id}-error`, hidden: true });
  const help = createHelp(path, schema);
  const oninput = () => (showText(error, ""), control.removeAttribute("aria-invalid"), onChange());
  const control = createControl({ id, name: path, "aria-describedby": `${id}-help ${id}-error`, oninput }, schema);
  const label = h("label", { for: id }, fieldName(path.split(".").pop()));
  const node = h(`div.parameter${schema.type === "boolean" ? ".checkbox" : ""}`, {}, label, control, help, error);
  return { node, control, schema, get: () => read(control, schema), set: (value) => write(control, schema, value), showError };

  function showError(errorPath, text) {
    if (errorPath !== path && !errorPath.startsWith(`${path}.`)) return false;
    showText(error, text);
    control.setAttribute("aria-invalid", "true");
    return control;
  }
}

const isScalar = (schema) => Boolean(schema.enum) || ["number", "integer", "boolean", "string"].includes(schema.type);

function createControl(attributes, schema) {
  if (schema.enum) return h("select", attributes, schema.enum.map((value) => h("option", { value }, words(String(value)))));
  if (schema.type === "boolean") return h("input", { type: "checkbox", ...attributes });
  if (schema.type === "string") return h("input", { type: "text", ...attributes });
  const step = schema.type === "integer" ? 1 : "any";
  return h("input", { type: "number", min: schema.minimum, max: schema.maximum, step, ...attributes });
}

function read(control, schema) {
  if (schema.type === "boolean") return control.checked;
  if (schema.type === "string") return control.value;
  return control.value === "" ? null : Number(control.value);
}

function write(control, schema, value) {
  if (schema.type === "boolean") control.checked = value;
  else control.value = value;
}

/** "From 64 to 4,096." */
function limits({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const limit = (word, bound) => bound !== undefined && bound < 1e9 && `${word} ${bound.toLocaleString("en")}`;
  const texts = [limit("from", minimum), limit("above", exclusiveMinimum), limit("to", maximum), limit("below", exclusiveMaximum)];
  const text = texts.filter(Boolean).join(" ");
  return text && `${words(text)}.`;
}

function createGroup(path, schema, root, onChange) {
  const fields = Object.entries(schema.properties).map(([name, property]) => [name, createField(`${path}.${name}`, property, root, onChange)]);
  return {
    node: h("div.parameter-group", {}, fields.map(([, field]) => field.node)),
    get: () => Object.fromEntries(fields.map(([name, field]) => [name, field.get()])),
    set: (value) => fields.forEach(([name, field]) => name in value && field.set(value[name])),
    showError: (errorPath, text) => fields.map(([, field]) => field.showError(errorPath, text)).find(Boolean) || false,
  };
}

/** One of several objects; a constant in the property that the schema's discriminator names says which. */
function createUnion(path, schema, root, onChange) {
  const discriminator = schema.discriminator.propertyName;
  const variants = schema.oneOf.map((variant) => resolve(variant, root));
  const groups = new Map(variants.map((variant) => [variant.properties[discriminator].const, createGroup(path, variant, root, onChange)]));
  const id = `parameter-${path}`;
  const summary = h("summary");
  const details = h("details.options", {}, summary, [...groups.values()].map((group) => group.node));
  const title = (kind) => (kind === "lbfgs" ? "L-BFGS" : words(kind));
  const options = [...groups.keys()].map((kind) => h("option", { value: kind }, title(kind)));
  const select = h("select", { id, name: path, oninput: () => (showGroup(), onChange()) }, options);
  const showGroup = () => {
    summary.textContent = `${title(select.value)} options`;
    groups.forEach((group, kind) => (group.node.hidden = kind !== select.value));
  };
  return {
    node: h("div.parameter", {}, h("label", { for: id }, words(path)), select, details),
    get: () => groups.get(select.value).get(),
    set: (value) => ((select.value = value[discriminator]), groups.get(select.value).set(value), showGroup()),
    showError(errorPath, text) {
      const control = groups.get(select.value).showError(errorPath.replace(`${path}.${select.value}.`, `${path}.`), text);
      if (control) details.open = true;
      return control;
    },
  };
}
