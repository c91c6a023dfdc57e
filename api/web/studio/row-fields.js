/** Maps and lists of a recipe as rows of inputs: the weights of layers, stages, the sizes of the style images. */

import { h, showText } from "../common/dom.js";
import { words } from "../common/format.js";

const NEW_VALUES = {}; // of a row that a person adds: 1 is valid everywhere

/**
 * Return a field for an object with any keys, or for an array of objects or numbers, whose values are numbers.
 * `resolve(schema)` follows references. The result is that of createField in schema-fields.js.
 */
export function createRows(path, schema, resolve, help, onChange) {
  const id = `parameter-${path}`;
  const isMap = schema.type === "object";
  const items = resolve(isMap ? schema.additionalProperties : schema.items);
  const columns = items.properties ?? { value: items };
  const names = Object.keys(columns);
  const known = schema.propertyNames?.examples ?? []; // keys of a map
  const error = h("p.error", { id: `${id}-error`, hidden: true });
  const list = h("ol.plain.field-rows");
  const add = h("button.small", { type: "button", name: path, onclick: () => (addRow(), changed(), rows.at(-1).node.querySelector("select, input").focus()) }, "Add");
  const title = words(path);
  const head = names.length > 1 && h("div.field-rows-head", { "aria-hidden": "true" }, names.map((name) => h("small", {}, words(name))));
  const node = h("div.parameter", { role: "group", "aria-labelledby": id }, h("b", { id }, title), head, list, add, help, error);
  let rows = []; // {node, key, inputs: {column: input}}
  return { node, control: add, schema, get, set, showError };

  function addRow(values = NEW_VALUES, key = "") {
    const attributes = (name) => ({ "aria-describedby": `${id}-help ${id}-error`, title: columns[name].description, oninput: changed });
    const createInput = (name) => h("input", { type: "number", step: "any", min: columns[name].minimum, max: columns[name].maximum, value: values === NEW_VALUES ? 1 : values[name], ...attributes(name) });
    const inputs = Object.fromEntries(names.map((name) => [name, createInput(name)]));
    const remove = h("button.remove.quiet", { type: "button", onclick: () => (removeRow(row), add.focus()) }, "×");
    const row = { inputs, remove, key: isMap ? createKey(key) : null };
    row.node = h("li", {}, row.key, Object.values(inputs), remove);
    rows.push(row);
    list.append(row.node);
    updateRows();
  }

  /** Return a menu of the known keys, and `key` if it is none of them. */
  function createKey(key) {
    const used = rows.map((row) => row.key.value);
    const options = [...new Set([...known, ...(key ? [key] : [])])].map((value) => h("option", { value }, value));
    const select = h("select", { oninput: () => (updateRows(), changed()) }, options);
    select.value = key || known.find((value) => !used.includes(value)) || "";
    return select;
  }

  function removeRow(row) {
    rows = rows.filter((other) => other !== row);
    row.node.remove();
    updateRows();
    changed();
  }

  /** Update what depends on the other rows. */
  function updateRows() {
    const used = rows.map(({ key }) => key?.value);
    for (const { key } of rows) for (const option of key?.options ?? []) option.disabled = option.value !== key.value && used.includes(option.value);
    rows.forEach((row, index) => {
      row.key?.setAttribute("aria-label", `${title}, name ${index + 1}`);
      for (const [name, input] of Object.entries(row.inputs)) input.setAttribute("aria-label", `${title}, ${name} ${index + 1}`);
      row.remove.setAttribute("aria-label", `Remove row ${index + 1} of ${title}`);
      row.remove.disabled = rows.length <= (schema.minItems ?? 0);
    });
    add.disabled = rows.length >= (schema.maxItems ?? Infinity) || Boolean(known.length && known.every((key) => used.includes(key)));
    add.setAttribute("aria-label", `Add a row to ${title}`);
  }

  function changed() {
    showText(error, "");
    list.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
    onChange();
  }

  function get() {
    const number = (input) => (input.value === "" ? null : Number(input.value));
    const values = rows.map(({ inputs }) => (items.properties ? Object.fromEntries(names.map((name) => [name, number(inputs[name])])) : number(inputs.value)));
    return isMap ? Object.fromEntries(rows.map(({ key }, index) => [key.value, values[index]])) : values;
  }

  function set(value) {
    rows = [];
    list.replaceChildren();
    for (const [key, item] of Object.entries(value)) addRow(items.properties ? item : { value: item }, key);
    updateRows();
  }

  function showError(errorPath, text) {
    if (errorPath !== path && !errorPath.startsWith(`${path}.`)) return false;
    const [key, name] = errorPath.slice(path.length + 1).split(".");
    const row = isMap ? rows.find((other) => other.key.value === key) : rows[key];
    const control = row ? row.inputs[name ?? names[0]] : (rows[0]?.inputs[names[0]] ?? add);
    showText(error, text);
    control.setAttribute("aria-invalid", "true");
    return control;
  }
}
