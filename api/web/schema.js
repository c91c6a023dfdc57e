/** From JSON Schema to form fields and back. Knows no knob by name: a new one needs no new page. */

import { h, tellIf } from "./dom.js";
import { words } from "./format.js";

const resolved = (schema, root) => (schema.$ref ? { ...root.$defs[schema.$ref.split("/").pop()], ...schema } : schema);

/** A control for one property: {node, get(), set(value), complain(text)}; get() raises SyntaxError on broken JSON. */
export function field(path, declared, root, changed) {
  const schema = resolved(declared, root);
  if (schema.const !== undefined) return { get: () => schema.const, set() {}, complain: () => false };
  if (schema.oneOf) return union(path, schema, root, changed);
  if (schema.type === "object" && schema.properties) return group(path, schema, root, changed);
  return single(path, schema, root, changed);
}

function single(path, schema, root, changed) {
  const id = `knob-${path}`;
  const wrong = h("p.wrong", { id: `${id}-error`, hidden: true });
  const hints = [schema.description, limits(schema), !isSimple(schema) && "As JSON."];
  const help = h("small.soft", { id: `${id}-help` }, hints.filter(Boolean).join(" "));
  const oninput = () => (tellIf(wrong, ""), control.removeAttribute("aria-invalid"), changed());
  const control = made({ id, name: path, "aria-describedby": `${id}-help ${id}-error`, oninput }, schema);
  const label = h("label", { for: id }, words(path.split(".").pop()));
  const node = h(`div.knob${schema.type === "boolean" ? ".check" : ""}`, {}, label, control, help, wrong);
  return { node, control, schema, get: () => read(control, schema), set: (value) => write(control, schema, value), complain };

  function complain(at, text) {
    if (at !== path && !at.startsWith(`${path}.`)) return false;
    tellIf(wrong, text);
    control.setAttribute("aria-invalid", "true");
    return control;
  }
}

const isSimple = (schema) => Boolean(schema.enum) || ["number", "integer", "boolean", "string"].includes(schema.type);

function made(attributes, schema) {
  if (schema.enum) return h("select", attributes, schema.enum.map((value) => h("option", { value }, words(String(value)))));
  if (!isSimple(schema)) return h("textarea", { rows: 3, spellcheck: "false", ...attributes });
  if (schema.type === "boolean") return h("input", { type: "checkbox", ...attributes });
  if (schema.type === "string") return h("input", { type: "text", ...attributes });
  const step = schema.type === "integer" ? 1 : "any";
  return h("input", { type: "number", min: schema.minimum, max: schema.maximum, step, ...attributes });
}

function read(control, schema) {
  if (schema.type === "boolean") return control.checked;
  if (!isSimple(schema)) return JSON.parse(control.value);
  if (schema.type === "string") return control.value;
  return control.value === "" ? null : Number(control.value);
}

function write(control, schema, value) {
  if (schema.type === "boolean") control.checked = value;
  else control.value = isSimple(schema) ? value : JSON.stringify(value, null, 1).replace(/\n\s*/g, " ");
}

function limits({ minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below }) {
  const say = (word, bound) => bound !== undefined && bound < 1e9 && `${word} ${bound.toLocaleString("en")}`;
  return words([say("from", minimum), say("above", above), say("to", maximum), say("below", below)].filter(Boolean).join(" "));
}

function group(path, schema, root, changed) {
  const parts = Object.entries(schema.properties).map(([name, one]) => [name, field(`${path}.${name}`, one, root, changed)]);
  return {
    node: h("div.knobs", {}, parts.map(([, part]) => part.node)),
    get: () => Object.fromEntries(parts.map(([name, part]) => [name, part.get()])),
    set: (value) => parts.forEach(([name, part]) => name in value && part.set(value[name])),
    complain: (at, text) => parts.map(([, part]) => part.complain(at, text)).find(Boolean) || false,
  };
}

/** One of several objects, told apart by a constant in the property that the schema's discriminator names. */
function union(path, schema, root, changed) {
  const told = schema.discriminator.propertyName;
  const variants = new Map(schema.oneOf.map((one) => resolved(one, root)).map((one) => [one.properties[told].const, one]));
  const groups = new Map([...variants].map(([kind, one]) => [kind, group(path, one, root, changed)]));
  const id = `knob-${path}`;
  const shown = h("details.inner", {}, h("summary", {}, "Its own knobs"), [...groups.values()].map((one) => one.node));
  const option = (kind) => h("option", { value: kind }, kind === "lbfgs" ? "L-BFGS" : words(kind));
  const select = h("select", { id, name: path, oninput: () => (show(), changed()) }, [...variants.keys()].map(option));
  const show = () => groups.forEach((one, kind) => (one.node.hidden = kind !== select.value));
  return {
    node: h("div.knob", {}, h("label", { for: id }, words(path)), select, shown),
    get: () => groups.get(select.value).get(),
    set: (value) => ((select.value = value[told]), groups.get(value[told]).set(value), show()),
    complain(at, text) {
      const found = groups.get(select.value).complain(at.replace(`${path}.${select.value}.`, `${path}.`), text);
      if (found) shown.open = true;
      return found;
    },
  };
}
