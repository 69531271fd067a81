// Where the cursor is in a rule document, as a path of keys: found by indentation and brackets, so that it is known
// while a line is half written and no parser could read it.

export const ITEM = "[]";
const MOST_FLOW_LINES = 60;

/**
 * The place of a cursor. `lines` is all lines; `row` counts from 0.
 * `path`: steps {key, values} from the root; `values` are the scalars written beside the key, as far as they are known.
 * `state`: "key" (a mapping's key), "value" (after `key: `), "start" (a new line or list item: it may become either).
 * `typed`: what stands between `from` (a column) and the cursor. `isFlow`: inside brackets.
 */
export function placeAt(lines, row, column) {
  const first = startOfFlow(lines, row, column);
  const line = structure(lines[first]);
  const head = first === row ? lines[row].slice(0, column) : null;
  if (head !== null && column <= line.contentAt) return blockStart(lines, row, column, head);
  const text = first === row ? head : [lines[first], ...lines.slice(first + 1, row), lines[row].slice(0, column)].join("\n");
  const path = ancestors(lines, first, line);
  if (line.key === null || (first === row && column <= line.colonAt)) {
    return inFlow(text, line.contentAt, path, column) ?? {
      ...open(path), state: "start", isFlow: false, from: line.contentAt, typed: text.slice(line.contentAt),
      present: siblings(lines, row, line.contentAt), indent: line.contentAt,
    };
  }
  path.push({ key: line.key, values: siblings(lines, first, line.contentAt) });
  return inFlow(text, line.valueAt, path, column) ?? {
    path, state: "value", isFlow: false, from: Math.min(line.valueAt, column), typed: text.slice(line.valueAt),
    present: new Map(), indent: line.contentAt,
  };
}

function open(path) {
  return { path };
}

/** The cursor stands in the indentation, or behind a dash: a new key or item of whatever stands above. */
function blockStart(lines, row, column, head) {
  const line = structure(head);
  return {
    path: ancestors(lines, row, { ...line, contentAt: column, dashes: line.dashes }),
    state: "start", isFlow: false, from: column, typed: "", present: siblings(lines, row, column), indent: column,
  };
}

/** Columns of a line: its dashes, where its content begins, its key, the colon, and where the value begins. */
export function structure(text) {
  const dashes = [];
  let at = text.length - text.trimStart().length;
  while (text[at] === "-" && (at + 1 >= text.length || text[at + 1] === " ")) {
    dashes.push(at);
    at += 1;
    while (text[at] === " ") at += 1;
  }
  const found = /^(?:"([^"]*)"|'([^']*)'|([^\s{}[\],&*#?|<>=!%@"'`-][^{}[\],#]*?|[^\s{}[\],]+?))\s*:(?=\s|$)/.exec(text.slice(at));
  if (!found) return { dashes, contentAt: at, key: null, colonAt: Infinity, valueAt: Infinity, isBlank: at >= text.length };
  const colonAt = at + found[0].length - 1;
  let valueAt = colonAt + 1;
  while (text[valueAt] === " ") valueAt += 1;
  return { dashes, contentAt: at, key: found[1] ?? found[2] ?? found[3], colonAt, valueAt, isBlank: false };
}

function isIgnored(text) {
  return /^\s*(#|$)/.test(text);
}

/** The steps above a line, from the root; dashes before its own content are steps as well. */
function ancestors(lines, row, line) {
  const steps = line.dashes.map(() => ({ key: ITEM, values: new Map() }));
  let limit = line.dashes[0] ?? line.contentAt;
  let isDash = line.dashes.length > 0;
  for (let above = row - 1; above >= 0 && (limit > 0 || isDash); above -= 1) {
    if (isIgnored(lines[above])) continue;
    const one = structure(lines[above]);
    const isParentOfItem = isDash && one.contentAt === limit && !one.dashes.length;
    if (one.key !== null && (one.contentAt < limit || isParentOfItem)) {
      steps.unshift({ key: one.key, values: siblings(lines, above, one.contentAt) });
      limit = one.contentAt;
      isDash = false;
    }
    for (const dash of [...one.dashes].reverse()) {
      if (dash < limit) {
        steps.unshift({ key: ITEM, values: new Map() });
        limit = dash;
        isDash = true;
      }
    }
  }
  return steps;
}

/** The keys of the mapping that has `row` at `column`, with their scalars. */
function siblings(lines, row, column) {
  const found = new Map();
  const own = structure(lines[row]);
  for (let above = row; above >= 0; above -= 1) {
    if (above !== row && isIgnored(lines[above])) continue;
    const one = structure(lines[above]);
    if (above !== row && one.contentAt < column) break;
    if (above !== row && one.contentAt === column) note(found, lines[above], one);
    if (one.contentAt === column && one.dashes.length && (above !== row || own.dashes.length)) break;
  }
  for (let below = row + 1; below < lines.length; below += 1) {
    if (isIgnored(lines[below])) continue;
    const one = structure(lines[below]);
    if (one.contentAt < column || (one.dashes.length && one.dashes[0] < column)) break;
    if (one.contentAt === column) note(found, lines[below], one);
  }
  return found;
}

function note(found, text, line) {
  if (line.key !== null) found.set(line.key, scalar(text.slice(line.valueAt)));
}

function scalar(text) {
  return text.replace(/\s+#.*$/, "").trim().replace(/^(["'])(.*)\1$/, "$2");
}

// -- inside brackets --------------------------------------------------------------------------------------------------

/** The line on which the brackets begin that are open at the cursor; the cursor's own line if none are. */
function startOfFlow(lines, row, column) {
  let start = row;
  let depth = balance(lines[row].slice(0, column)).open;
  let owed = balance(lines[row].slice(0, column)).closed;
  for (let above = row - 1; above >= 0 && row - above < MOST_FLOW_LINES; above -= 1) {
    const { open, closed } = balance(lines[above]);
    const left = open - owed;
    owed = Math.max(0, -left) + closed;
    if (left > 0) {
      start = above;
      depth += left;
    } else if (structure(lines[above]).key !== null && !depth && !owed) break;
  }
  return start;
}

/** Brackets of a text that stay open, and those that close what was opened before it. */
function balance(text) {
  let open = 0;
  let closed = 0;
  walk(text, 0, (character) => {
    if (character === "{" || character === "[") open += 1;
    else if (character === "}" || character === "]") open ? (open -= 1) : (closed += 1);
  });
  return { open, closed };
}

/** Calls back for every character outside quotes and comments. */
function walk(text, start, visit) {
  let quote = null;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (quote) {
      if (quote === '"' && character === "\\") at += 1;
      else if (character === quote) quote = null;
    } else if ((character === '"' || character === "'") && /[\s{[,:]/.test(text[at - 1] ?? " ")) quote = character;
    else if (character === "#" && /\s/.test(text[at - 1] ?? " ")) while (at + 1 < text.length && text[at + 1] !== "\n") at += 1;
    else visit(character, at);
  }
}

/** The place inside the brackets that begin at `start`; null where none are open at the end of the text. */
function inFlow(text, start, path, column) {
  const frames = [];
  let begins = start;
  walk(text, start, (character, at) => {
    const frame = frames.at(-1);
    if (character === "{" || character === "[") {
      frames.push({ isMap: character === "{", key: null, values: new Map() });
      begins = at + 1;
    } else if (character === "}" || character === "]") {
      frames.pop();
      begins = at + 1;
    } else if (frame && character === ",") {
      if (frame.key !== null) frame.values.set(frame.key, scalar(text.slice(begins, at)));
      frame.key = null;
      begins = at + 1;
    } else if (frame?.isMap && frame.key === null && character === ":" && /^(\s|$)/.test(text.slice(at + 1))) {
      frame.key = scalar(text.slice(begins, at));
      begins = at + 1;
    }
  });
  if (!frames.length) return null;
  const steps = [...path];
  for (const frame of frames) {
    if (!frame.isMap) steps.push({ key: ITEM, values: new Map() });
    else if (frame.key !== null) steps.push({ key: frame.key, values: frame.values });
  }
  const innermost = frames.at(-1);
  const typed = text.slice(begins).trimStart();
  const isKey = innermost.isMap && innermost.key === null;
  return {
    path: steps, state: isKey ? "key" : "value", isFlow: true, from: column - typed.length, typed,
    present: isKey ? innermost.values : new Map(), indent: 0,
  };
}
