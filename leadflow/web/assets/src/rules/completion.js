// Completion and hover help of the editor, both from the schema and from the names that the documents use.

import { snippetCompletion } from "@codemirror/autocomplete";
import { ITEM, placeAt, structure } from "./place.js";

// Under these keys a text is the name of something that documents or people have made.
const NAMES = { segment: "segments", selection: "selections", rule: "rules", group: "groups", owner: "owners", to: "owners" };
const OPERATORS_OF_LISTS = ["in", "not_in", "has_any", "has_all", "has_none", "domain_in", "domain_not_in"];
const HAS_LINES_BELOW = ["all", "any", "none", "then", "rules", "tests", "if", "given", "event", "expect", "lists", "segments"];
const MOST_ALLOWED = 14;

function linesOf(state) {
  return state.doc.toString().split("\n");
}

/** A completion source over what `known()` gives: {schema: RuleSchema | null, names}. */
export function completer(known) {
  return (context) => {
    const { schema, names } = known();
    const line = context.state.doc.lineAt(context.pos);
    const place = placeAt(linesOf(context.state), line.number - 1, context.pos - line.from);
    const isBare = !place.typed && !context.explicit && !/[{[,:-]\s*$/.test(line.text.slice(0, context.pos - line.from));
    if (!schema || isBare || /^\s*#/.test(line.text) || /^["'|>]/.test(place.typed)) return null;
    const options = place.state === "value" ? values(schema, names, place) : [...keys(schema, place), ...starts(schema, names, place)];
    return options.length ? { from: line.from + place.from, options, validFor: /^[\w.$ -]*$/ } : null;
  };
}

function keys(schema, place) {
  return [...schema.keys(place.path, place.present)]
    .filter(([name]) => !place.present.has(name))
    .map(([name, schemas]) => ({
      label: name,
      type: "property",
      info: schema.describe(schemas) || undefined,
      boost: name.startsWith("before.") ? -50 : 0,
      apply: beginning(name, place),
    }));
}

/** What a key is completed to: those that always have lines below get the first of them. */
function beginning(name, place) {
  if (place.isFlow || !HAS_LINES_BELOW.includes(name)) return `${name}: `;
  const isList = ["all", "any", "none", "then", "rules", "tests"].includes(name);
  return `${name}:\n${" ".repeat(place.indent + 2)}${isList ? "- " : ""}`;
}

/** On a new line: the items of a list, and single values where the list is one of values. */
function starts(schema, names, place) {
  if (place.state !== "start") return [];
  if (place.path.at(-1)?.key === ITEM) return scalars(schema, names, place);
  const item = [...place.path, { key: ITEM, values: new Map() }];
  return [...schema.keys(item, new Map())].map(([name, schemas]) => ({
    label: `- ${name}`, type: "property", info: schema.describe(schemas) || undefined, boost: -10,
    apply: `- ${beginning(name, { ...place, indent: place.indent + 2 })}`,
  }));
}

function values(schema, names, place) {
  const operators = [...schema.keys(place.path, new Map())].map(([name, schemas]) =>
    snippetCompletion(takesList(schema, schemas) ? `{${name}: [\${}]}` : `{${name}: \${}}`, {
      label: `{${name}: …}`, type: "keyword", info: schema.describe(schemas) || undefined, boost: -20,
    }),
  );
  return [...scalars(schema, names, place), ...operators];
}

function takesList(schema, schemas) {
  const types = schema.widen(schemas, new Map()).flatMap((one) => one.type ?? []);
  return types.includes("array") && types[0] === "array";
}

function scalars(schema, names, place) {
  const listed = schema.values(place.path).map((one) => ({
    label: one.value, type: "enum", info: one.meaning || undefined, boost: 10,
  }));
  return [...listed, ...named(names, place)];
}

/** Lists, segments, rules, owners, variables: by the key they stand under. */
function named(names, place) {
  const key = place.path.findLast((step) => step.key !== ITEM)?.key;
  const kind = OPERATORS_OF_LISTS.includes(key) ? "lists" : NAMES[key];
  const found = (names[kind] ?? []).map((label) => ({ label, type: "variable", detail: kind?.replace(/s$/, "") }));
  return [...found, ...(names.vars ?? []).map((label) => ({ label: `$${label}`, type: "constant", detail: "variable", boost: -5 }))];
}

/** What a hover says: {from, to, title, text, allowed}; null where there is nothing to say. */
export function explain(known, state, position) {
  const { schema } = known();
  const line = state.doc.lineAt(position);
  const word = wordAt(line.text, position - line.from);
  if (!schema || !word || /^\s*#/.test(line.text)) return null;
  const place = placeAt(linesOf(state), line.number - 1, word.end);
  const told = isKey(line.text, word) ? ofKey(schema, place, word.text) : ofValue(schema, place, word.text);
  return told && { from: line.from + word.start, to: line.from + word.end, ...told };
}

function wordAt(text, column) {
  for (const found of text.matchAll(/[\w.$-]*\w/g)) {
    if (found.index <= column && column <= found.index + found[0].length) {
      return { text: found[0], start: found.index, end: found.index + found[0].length };
    }
  }
  return null;
}

function isKey(text, word) {
  return /^\s*:(\s|$)/.test(text.slice(word.end)) || structure(text).colonAt === word.end;
}

function ofKey(schema, place, name) {
  const path = place.state === "value" && !place.isFlow ? place.path.slice(0, -1) : place.path;
  const schemas = schema.keys(path, place.present).get(name);
  const text = schemas && schema.describe(schemas);
  if (!text) return null;
  const step = { key: name, values: place.present };
  return { title: name, text, allowed: schema.values([...path, step]).slice(0, MOST_ALLOWED).map((one) => one.value) };
}

function ofValue(schema, place, word) {
  const found = schema.values(place.path).find((one) => one.value === word);
  return found?.meaning ? { title: word, text: found.meaning, allowed: [] } : null;
}
