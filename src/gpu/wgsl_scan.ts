/** A declaration at module scope; offsets are into the scanned text. */
export interface Declaration {
  readonly keyword: 'const' | 'alias' | 'override';
  readonly name: string;
  /** Written after the colon, if anything. */
  readonly type: string | undefined;
  /** Range of the initialiser (an alias's target) without its surrounding spaces; undefined where there is none. */
  readonly value: { readonly start: number; readonly end: number } | undefined;
}

/** `enable`, `requires` and `diagnostic` lines, which WGSL wants before everything else. */
export interface Directive {
  readonly start: number;
  readonly end: number;
  /** With single spaces, so that equal directives of two files are equal texts. */
  readonly text: string;
}

const DECLARATION = /\b(const|alias|override)\s+([A-Za-z_]\w*)\s*(?::([^=;]*))?(?:=([^;]*))?;/g;
const DIRECTIVE = /(?:^|(?<=[;\n]))[ \t]*((?:enable|requires)\s+[^;]+|diagnostic\s*\([^;]*\)\s*);/g;

/** The text with every comment turned into spaces: offsets and line breaks stay. WGSL's block comments nest. */
export function blankComments(text: string): string {
  const out: string[] = [];
  let copied = 0;
  for (let at = text.indexOf('/'); at !== -1; at = text.indexOf('/', at)) {
    const end = commentEnd(text, at);
    if (end === at) {
      at++;
      continue;
    }
    out.push(text.slice(copied, at), text.slice(at, end).replaceAll(/[^\n]/g, ' '));
    copied = end;
    at = end;
  }
  out.push(text.slice(copied));
  return out.join('');
}

/** Offset after the comment that starts at `at`, or `at` when none does. */
function commentEnd(text: string, at: number): number {
  if (text[at + 1] === '/') {
    const lineEnd = text.indexOf('\n', at);
    return lineEnd === -1 ? text.length : lineEnd;
  }
  if (text[at + 1] !== '*') return at;
  let depth = 1;
  let end = at + 2;
  while (end < text.length && depth > 0) {
    const two = text.slice(end, end + 2);
    if (two === '/*') depth++;
    if (two === '*/') depth--;
    end += two === '/*' || two === '*/' ? 2 : 1;
  }
  return end;
}

/** Declarations of module scope in order; `code` has no comments (see `blankComments`). */
export function moduleDeclarations(code: string): Declaration[] {
  const found: Declaration[] = [];
  let depth = 0;
  let scanned = 0;
  for (const match of code.matchAll(DECLARATION)) {
    for (; scanned < match.index; scanned++) {
      if (code[scanned] === '{') depth++;
      if (code[scanned] === '}') depth--;
    }
    if (depth !== 0) continue;
    const [whole, keyword, name, type, value] = match;
    const valueEnd = match.index + whole.length - 1;
    found.push({
      keyword: keyword as Declaration['keyword'],
      name,
      type: type?.trim(),
      value:
        value === undefined
          ? undefined
          : { start: valueEnd - value.trimStart().length, end: valueEnd - (value.length - value.trimEnd().length) },
    });
  }
  return found;
}

/** Directives in order; `code` has no comments. */
export function moduleDirectives(code: string): Directive[] {
  return [...code.matchAll(DIRECTIVE)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
    text: `${match[1].trim().replaceAll(/\s+/g, ' ')};`,
  }));
}

/** A declaration at module scope with its attributes. */
export interface ModuleItem {
  readonly name: string;
  readonly text: string;
  /** Line of the text's first character in the scanned code, counted from 1. */
  readonly line: number;
}

const ITEM_NAME =
  /^(?:\s*@\w+(?:\([^()]*\))?)*\s*(?:fn|struct|alias|const|override|var(?:\s*<[^>]*>)?)\s+([A-Za-z_]\w*)/;

/** Declarations of module scope in order, without directives; `code` has no comments (see `blankComments`). */
export function moduleItems(code: string): ModuleItem[] {
  let text = code;
  for (const { start, end } of moduleDirectives(code)) {
    text = text.slice(0, start) + text.slice(start, end).replaceAll(/[^\n]/g, ' ') + text.slice(end);
  }
  const items: ModuleItem[] = [];
  let start = 0;
  let line = 1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') depth++;
    if (character === '}') depth--;
    if (depth !== 0 || (character !== '}' && character !== ';')) continue;
    const item = text.slice(start, at + 1);
    const blank = item.length - item.trimStart().length;
    const name = ITEM_NAME.exec(item)?.[1];
    line += lineBreaks(item.slice(0, blank));
    if (name !== undefined) items.push({ name, text: item.slice(blank), line });
    line += lineBreaks(item.slice(blank));
    start = at + 1;
  }
  return items;
}

function lineBreaks(text: string): number {
  return text.split('\n').length - 1;
}
