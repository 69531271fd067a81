// What the JSON Schema of rule documents says of a place: which keys and values may stand there, and what they mean.

import { ITEM } from "./place.js";

/** A schema as one finds things in it: `at(path)` gives everything that may stand at a path. */
export class RuleSchema {
  constructor(schema) {
    this.root = schema;
  }

  /** The plain schemas that hold at a path of steps {key, values}. */
  at(path, values = new Map()) {
    let found = [this.root];
    for (const step of path) {
      const wider = this.widen(found, step.values);
      found = wider.flatMap((one) => below(one, step.key));
    }
    return this.widen(found, values);
  }

  /** References followed, alternatives and conditions laid beside each other. */
  widen(schemas, values) {
    const seen = new Set();
    const visit = (schema) => {
      if (!schema || typeof schema !== "object" || seen.has(schema)) return;
      seen.add(schema);
      if (schema.$ref) visit(this.follow(schema.$ref));
      for (const word of ["allOf", "anyOf", "oneOf"]) for (const one of schema[word] ?? []) visit(one);
      if (schema.if && holds(schema.if, values)) visit(schema.then);
    };
    schemas.forEach(visit);
    return [...seen];
  }

  follow(reference) {
    return reference.slice(2).split("/").reduce((value, key) => value?.[key], this.root);
  }

  /** The keys that may stand in the mapping at a path: name → the schemas of its value. */
  keys(path, values) {
    const found = new Map();
    for (const one of this.at(path, values)) {
      for (const [name, schema] of Object.entries(one.properties ?? {})) {
        found.set(name, [...(found.get(name) ?? []), schema]);
      }
    }
    return found;
  }

  /** The first thing said of these schemas, the outermost first. */
  describe(schemas) {
    return this.widen(schemas, new Map()).find((one) => one.description)?.description ?? "";
  }

  /** The values that may stand at a path: {value, meaning}, each once however it may be spelt. */
  values(path) {
    const found = new Map();
    for (const one of this.at(path)) {
      const listed = one.enum ?? ("const" in one ? [one.const] : one.examples ?? []);
      listed.forEach((value, index) => {
        const key = String(value).toLowerCase().replace(/[\s_-]+/g, "");
        const isNicer = capitals(value) > capitals(found.get(key)?.value ?? "");
        if (!found.has(key) || isNicer) found.set(key, { value: String(value), meaning: one.enumDescriptions?.[index] ?? "" });
      });
    }
    if (!found.size && this.at(path).some(isYesOrNo)) return ["true", "false"].map((value) => ({ value, meaning: "" }));
    return [...found.values()];
  }
}

function capitals(value) {
  return String(value).replace(/[^A-Z]/g, "").length;
}

function isYesOrNo(schema) {
  return schema.patternErrorMessage === "expected true or false";
}

function below(schema, key) {
  if (key === ITEM) return [schema.items].flat().filter(Boolean);
  const found = schema.properties?.[key];
  if (found) return [found];
  return typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
}

/** Whether the values beside a place leave the condition open: what is not written yet may still be so. */
function holds(condition, values) {
  return Object.entries(condition.properties ?? {}).every(([key, schema]) => {
    const value = values.get(key);
    if (value === undefined) return true;
    if (schema.const !== undefined) return String(schema.const) === value;
    if (schema.enum) return schema.enum.map(String).includes(value);
    return schema.pattern ? new RegExp(schema.pattern, "u").test(value) : true;
  });
}
