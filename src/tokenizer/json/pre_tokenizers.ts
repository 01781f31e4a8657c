import { toByteLevel } from '../byte_level';
import { checkGrowth } from '../growth';
import { compile, GPT2 } from '../patterns';
import { type Fields, mismatch } from './fields';
import { knownPattern } from './known_patterns';
import { shortText } from './normalizers';
import { flatten, unsupported } from './steps';

/** Cuts a piece further. `isFirst`: the piece begins the whole text. */
type Cut = (piece: string, isFirst: boolean) => readonly string[];

interface Segment {
  readonly text: string;
  readonly isMatch: boolean;
}

const BYTE_LEVEL = compile(`${GPT2}|${String.raw`\s+`}`);
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d\p{White_Space}]+/gu;
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;

/** `pre_tokenizer` of tokenizer.json (https://huggingface.co/docs/tokenizers/api/pre-tokenizers) as one function. */
export function readPreTokenizer(component: Fields | undefined): (text: string, isFirst: boolean) => readonly string[] {
  const steps = flatten(component, 'pretokenizers').map(readStep);
  return (text, isFirst) => {
    let pieces: readonly string[] = [text];
    for (const step of steps) {
      const cut: string[] = [];
      let atStart = isFirst;
      for (const piece of pieces) {
        for (const part of step(piece, atStart)) if (part !== '') cut.push(part);
        atStart = false;
      }
      pieces = cut;
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
      checkGrowth(length, text.length, component?.where ?? 'pre_tokenizer');
    }
    return pieces;
  };
}

function readStep(step: Fields): Cut {
  const type = step.text('type');
  switch (type) {
    case 'ByteLevel': {
      const prefix = step.flag('add_prefix_space', true);
      const words = step.flag('use_regex', true);
      return (piece) => {
        const text = prefix && !piece.startsWith(' ') ? ` ${piece}` : piece;
        return (words ? segments(text, BYTE_LEVEL).map((segment) => segment.text) : [text]).map(toByteLevel);
      };
    }
    case 'Split':
      return readSplit(step);
    case 'Digits':
      return isolated(step.flag('individual_digits', false) ? /\p{N}/gu : /\p{N}+/gu);
    case 'Punctuation':
      return behave(PUNCTUATION, step.optionalText('behavior') ?? 'Isolated', step.where);
    case 'BertPreTokenizer':
      return (piece) =>
        segments(piece, /\p{White_Space}+/gu).flatMap(({ text, isMatch }) =>
          isMatch ? [] : segments(text, PUNCTUATION).map((segment) => segment.text),
        );
    case 'Whitespace':
      return (piece) => piece.match(WORDS) ?? [];
    case 'WhitespaceSplit':
      return behave(/\p{White_Space}+/gu, 'Removed', step.where);
    case 'CharDelimiterSplit': {
      const delimiter = step.text('delimiter');
      if (delimiter === '') throw mismatch(step.at('delimiter'), 'a character', delimiter);
      return (piece) => piece.split(delimiter);
    }
    case 'Metaspace':
      return readMetaspace(step);
    default:
      throw unsupported(step.where, `the pre-tokenizer "${type}"`);
  }
}

/** SentencePiece's way: spaces become a character of their own, which begins the word after it. */
function readMetaspace(step: Fields): Cut {
  const replacement = step.has('replacement') ? shortText(step, 'replacement') : '\u2581';
  const scheme = step.optionalText('prepend_scheme') ?? (step.flag('add_prefix_space', true) ? 'always' : 'never');
  if (!['always', 'first', 'never'].includes(scheme)) throw unsupported(step.where, `prepend_scheme "${scheme}"`);
  if (replacement === '') throw mismatch(step.at('replacement'), 'a character', replacement);
  const splits = step.flag('split', true);
  const cut = behave(literal(replacement), 'MergedWithNext', step.where);
  return (piece, isFirst) => {
    let text = piece.replaceAll(' ', () => replacement);
    const prepends = scheme === 'always' || (scheme === 'first' && isFirst);
    if (prepends && !text.startsWith(replacement)) text = replacement + text;
    return splits ? cut(text, isFirst) : [text];
  };
}

function readSplit(step: Fields): Cut {
  const pattern = step.child('pattern');
  const text = pattern.optionalText('String');
  if (text === '') throw mismatch(pattern.at('String'), 'a text that is not empty', text);
  const expression = text === undefined ? knownPattern(pattern.text('Regex'), pattern.at('Regex')) : literal(text);
  return behave(expression, step.text('behavior'), step.where, step.flag('invert', false));
}

function literal(text: string): RegExp {
  return new RegExp(
    text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`).replaceAll(String.raw`\-`, String.raw`\x2d`),
    'gu',
  );
}

function isolated(pattern: RegExp): Cut {
  return (piece) => segments(piece, pattern).map(({ text }) => text);
}

/** What becomes of the matches of an expression, in the words of the library that these files come from. */
function behave(pattern: RegExp, behavior: string, where: string, invert = false): Cut {
  const cut = (piece: string) =>
    segments(piece, pattern).map(({ text, isMatch }) => ({ text, isMatch: isMatch !== invert }));
  switch (behavior) {
    case 'Isolated':
      return (piece) => cut(piece).map(({ text }) => text);
    case 'Removed':
      return (piece) => cut(piece).flatMap(({ text, isMatch }) => (isMatch ? [] : [text]));
    case 'MergedWithPrevious':
      return (piece) => join(cut(piece), (before, now) => now.isMatch && !before.isMatch);
    case 'MergedWithNext':
      return (piece) => join(cut(piece), (before, now) => before.isMatch && !now.isMatch);
    case 'Contiguous':
      return (piece) => join(cut(piece), (before, now) => before.isMatch === now.isMatch);
    default:
      throw unsupported(where, `the behavior "${behavior}"`);
  }
}

function join(parts: readonly Segment[], joins: (before: Segment, now: Segment) => boolean): string[] {
  const pieces: string[] = [];
  parts.forEach((part, i) => {
    if (i > 0 && joins(parts[i - 1], part)) pieces[pieces.length - 1] += part.text;
    else pieces.push(part.text);
  });
  return pieces;
}

/** The matches of an expression and what lies between them, in order. */
function segments(text: string, pattern: RegExp): Segment[] {
  const result: Segment[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (index > end) result.push({ text: text.slice(end, index), isMatch: false });
    if (match) result.push({ text: match, isMatch: true });
    end = index + match.length;
  }
  if (end < text.length) result.push({ text: text.slice(end), isMatch: false });
  return result;
}
