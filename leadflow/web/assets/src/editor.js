// The editor of rule documents: CodeMirror with YAML, completion and hover help from the schema, and marks of problems.
// It lives in a shadow root: there its styles are constructed sheets, which a strict content policy allows.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentService, indentUnit, syntaxHighlighting,
} from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, hoverTooltip, keymap, lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { completer, explain } from "./rules/completion.js";
import { structure } from "./rules/place.js";
import { RuleSchema } from "./rules/schema.js";

const MONO = "var(--tblr-font-monospace)";

const look = EditorView.theme({
  "&": { height: "100%", fontSize: "0.84375rem", color: "var(--tblr-body-color)", backgroundColor: "var(--tblr-bg-forms)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: MONO, lineHeight: "1.6" },
  ".cm-content": { padding: "0.75rem 0", caretColor: "var(--tblr-heading-color)" },
  ".cm-line": { padding: "0 1rem 0 0.5rem" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--tblr-heading-color)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "light-dark(#d5dcfb, #2f3a63)",
  },
  ".cm-activeLine": { backgroundColor: "light-dark(rgb(63 81 201 / 4%), rgb(139 156 255 / 6%))" },
  ".cm-gutters": { backgroundColor: "var(--tblr-bg-forms)", color: "var(--lf-muted)", borderRight: "1px solid var(--lf-faint)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--tblr-heading-color)" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "2.25rem", padding: "0 0.25rem 0 0.5rem" },
  ".cm-foldGutter span": { color: "var(--lf-muted)" },
  ".cm-selectionMatch": { backgroundColor: "light-dark(#e7ecff, #27304f)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "light-dark(#d9f2e3, #1f4a33)", outline: "none" },
  ".cm-tooltip": {
    border: "1px solid var(--tblr-border-color)", borderRadius: "10px", backgroundColor: "var(--tblr-bg-surface)",
    color: "var(--tblr-body-color)", boxShadow: "0 8px 28px rgb(10 14 22 / 22%)", zIndex: "20",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: MONO, fontSize: "0.8125rem", maxHeight: "17rem", minWidth: "15rem", borderRadius: "9px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.25rem 0.625rem", lineHeight: "1.5" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "light-dark(#3f51c9, #34406f)", color: "#ffffff" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "0.75" },
  ".cm-completionIcon": { display: "none" },
  ".cm-tooltip.cm-completionInfo": { maxWidth: "22rem", padding: "0.625rem 0.75rem", fontSize: "0.8125rem", lineHeight: "1.45" },
  ".lf-help": { maxWidth: "26rem", padding: "0.625rem 0.75rem", fontSize: "0.8125rem", lineHeight: "1.45" },
  ".lf-help strong": { display: "block", fontFamily: MONO },
  ".lf-help small": { display: "block", marginTop: "0.25rem", fontSize: "0.78125rem", color: "var(--lf-muted)" },
  ".cm-diagnostic": { padding: "0.5rem 0.75rem", fontSize: "0.8125rem", lineHeight: "1.45", maxWidth: "30rem", borderLeftWidth: "4px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--lf-bad-fill)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--lf-warn-fill)" },
  ".cm-diagnostic-info": { borderLeftColor: "light-dark(#3f51c9, #8b9cff)" },
  ".cm-diagnosticAction": {
    display: "inline-block", margin: "0.375rem 0.375rem 0 0", padding: "0.125rem 0.5rem", border: "1px solid var(--tblr-border-color)",
    borderRadius: "6px", backgroundColor: "var(--tblr-bg-surface-secondary)", color: "var(--tblr-link-color)", fontWeight: "550",
  },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--lf-bad-fill) 1.5px", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--lf-warn-fill) 1.5px", textUnderlineOffset: "3px" },
  ".cm-lintRange-info": { backgroundImage: "none", textDecoration: "underline dotted light-dark(#3f51c9, #8b9cff) 1.5px", textUnderlineOffset: "3px" },
  ".cm-lintRange-active": { backgroundColor: "light-dark(#fff1d6, #3a2f17)" },
  ".cm-panels": { backgroundColor: "var(--tblr-bg-surface-secondary)", color: "var(--tblr-body-color)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--tblr-border-color)" },
  ".cm-panel input, .cm-panel button": {
    border: "1px solid var(--tblr-border-color)", borderRadius: "6px", backgroundImage: "none",
    backgroundColor: "var(--tblr-bg-surface)", color: "var(--tblr-body-color)",
  },
  ".cm-searchMatch": { backgroundColor: "light-dark(#ffe9a8, #5a4a12)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "light-dark(#33449f, #a3b4ff)" },
  { tag: [tags.string, tags.special(tags.string)], color: "light-dark(#176339, #8fe0b0)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--lf-muted)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.bool, tags.number], color: "light-dark(#8a4300, #f2bd5c)" },
  { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--lf-muted)" },
]);

const SEVERITIES = { error: "error", warning: "warning", note: "info" };

/**
 * Make an editor inside `host`, an empty element.
 * `known()` gives {schema: RuleSchema | null, names}; `onChange(text)` and `onMove({line})` tell what happens there.
 */
export function makeEditor({ host, text, label, isReadOnly = false, known, onChange, onMove }) {
  const root = host.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({ doc: text, extensions: extensions({ label, isReadOnly, known, onChange, onMove }) }),
  });
  return new Editor(view);
}

function extensions({ label, isReadOnly, known, onChange, onMove }) {
  return [
    lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(),
    indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
    indentUnit.of("  "), indentService.of(indentation), EditorState.tabSize.of(2), yaml(), search({ top: true }), lintGutter(),
    autocompletion({ override: [completer(known)], icons: false, maxRenderedOptions: 200 }),
    hoverTooltip((editor, position) => help(known, editor, position)),
    syntaxHighlighting(colours), look,
    keymap.of([
      ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap,
      indentWithTab,
    ]),
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", tabindex: "0" }),
    EditorView.domEventHandlers({ beforeinput: replaceSelected }),
    EditorState.readOnly.of(isReadOnly),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange?.(update.state.doc.toString());
      if (update.selectionSet || update.docChanged) onMove?.(placeOf(update.state));
    }),
  ];
}

/** Typing over marked text: the browser would keep the look of what it replaces by inline styles, which are not allowed. */
function replaceSelected(event, view) {
  const { from, to } = view.state.selection.main;
  if (event.inputType !== "insertText" || !event.data || from === to || view.state.readOnly || event.isComposing) return false;
  event.preventDefault();
  const insert = () => view.state.update({ ...view.state.replaceSelection(event.data), userEvent: "input.type", scrollIntoView: true });
  const isHandled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, event.data, insert));
  if (!isHandled) view.dispatch(insert());
  return true;
}

// What has entries of its own below its first one: the next line is one of them, not another item.
const HAS_ENTRIES = ["rule", "test", "table"];

/** Where a new line begins: below an open key, beside the entries of a rule, else under the last item or key. */
function indentation(context, position) {
  const line = context.lineAt(position, -1);
  if (!line.text.trim()) return undefined;
  const { contentAt, dashes, key } = structure(line.text);
  if (/:\s*$/.test(line.text)) return contentAt + 2;
  return dashes.length && !HAS_ENTRIES.includes(key) ? dashes[0] : contentAt;
}

function placeOf(state) {
  return { line: state.doc.lineAt(state.selection.main.head).number };
}

function help(known, editor, position) {
  const told = explain(known, editor.state, position);
  return told && { pos: told.from, end: told.to, above: true, create: () => ({ dom: helpOf(told) }) };
}

function helpOf({ title, text, allowed }) {
  const box = document.createElement("div");
  box.className = "lf-help";
  const head = document.createElement("strong");
  head.textContent = title;
  box.append(head, text);
  if (allowed.length) {
    const more = document.createElement("small");
    more.textContent = `One of: ${allowed.join(", ")}`;
    box.append(more);
  }
  return box;
}

class Editor {
  constructor(view) {
    this.view = view;
  }

  get text() {
    return this.view.state.doc.toString();
  }

  /** The line the cursor is in, from 1. */
  get line() {
    return placeOf(this.view.state).line;
  }

  /** Another text in its place, as one step that can be undone. */
  replaceAll(text) {
    if (text === this.text) return;
    const { from, to, insert } = smallestChange(this.text, text);
    this.view.dispatch({ changes: { from, to, insert }, userEvent: "input" });
  }

  /** Go to a place (both count from 1) and stand in the editor there. */
  goTo(line, column = 1) {
    const there = this.view.state.doc.line(Math.min(Math.max(1, line), this.view.state.doc.lines));
    const anchor = Math.min(there.from + Math.max(0, column - 1), there.to);
    this.view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
    this.view.focus();
  }

  /** Write `text` over `width` characters at a place. */
  mend({ line, column, caret_width: width }, text) {
    const { from, to } = this.range(line, column, width);
    this.view.dispatch({ changes: { from, to, insert: asWritten(this.view.state.sliceDoc(from, to), text) }, userEvent: "input" });
    this.view.focus();
  }

  /** Mark the problems at their places. */
  mark(problems) {
    const diagnostics = problems.map((one) => ({
      ...this.range(one.line, one.column, one.caret_width),
      severity: SEVERITIES[one.severity],
      message: [one.message, one.allowed.length ? `Allowed: ${one.allowed.join(", ")}` : ""].filter(Boolean).join("\n"),
      actions: one.suggestion ? [{ name: `Change to “${one.suggestion}”`, apply: () => this.mend(one, one.suggestion) }] : [],
    }));
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }

  range(line, column, width) {
    const there = this.view.state.doc.line(Math.min(Math.max(1, line), this.view.state.doc.lines));
    const from = Math.min(there.from + column - 1, there.to);
    return { from, to: Math.min(Math.max(from + width, from), there.to) };
  }
}

/** The quotation marks of what is replaced stay. */
function asWritten(old, text) {
  const quote = /^(["']).*\1$/.exec(old)?.[1] ?? "";
  return quote && !text.includes(quote) ? quote + text + quote : text;
}

function smallestChange(old, text) {
  let from = 0;
  while (from < old.length && from < text.length && old[from] === text[from]) from += 1;
  let end = 0;
  while (end < old.length - from && end < text.length - from && old[old.length - 1 - end] === text[text.length - 1 - end]) end += 1;
  return { from, to: old.length - end, insert: text.slice(from, text.length - end) };
}

export { RuleSchema };
