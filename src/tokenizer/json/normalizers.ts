import { isChinese } from '../bert_words';
import { CharsMap } from '../charsmap';
import { checkGrowth } from '../growth';
import { applyCharsMap } from '../sentence_piece_text';
import type { Fields } from './fields';
import { mismatch } from './fields';
import { knownPattern } from './known_patterns';
import { flatten, unsupported } from './steps';

const LONGEST_REPLACEMENT = 32;

type Normalise = (text: string) => string;

/** `normalizer` of tokenizer.json (https://huggingface.co/docs/tokenizers/api/normalizers) as one function. */
export function readNormalizer(component: Fields | undefined): Normalise {
  const steps = flatten(component, 'normalizers').map(readStep);
  return (text) =>
    steps.reduce((done, step) => {
      const next = step(done);
      checkGrowth(next.length, text.length, component?.where ?? 'normalizer');
      return next;
    }, text);
}

function readStep(step: Fields): Normalise {
  const type = step.text('type');
  switch (type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(type);
    case 'Lowercase':
      return lowerCase;
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Strip': {
      const left = step.flag('strip_left', true);
      const right = step.flag('strip_right', true);
      return (text) => strip(text, left, right);
    }
    case 'Prepend': {
      const prefix = shortText(step, 'prepend');
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Replace':
      return readReplace(step);
    case 'Precompiled': {
      const map = new CharsMap(fromBase64(step.text('precompiled_charsmap'), step.where), step.where);
      return (text) => applyCharsMap(text, map);
    }
    case 'Nmt':
      return (text) => text.replace(NMT_REMOVED, '').replace(NMT_SPACES, ' ');
    case 'BertNormalizer':
      return readBert(step);
    default:
      throw unsupported(step.where, `the normalizer "${type}"`);
  }
}

/** `Replace` of a text or of a known expression; the replacement is literal. Also a decoder. */
export function readReplace(step: Fields): Normalise {
  const content = shortText(step, 'content');
  const pattern = step.child('pattern');
  const literal = pattern.optionalText('String');
  if (literal !== undefined) {
    if (literal === '') throw mismatch(pattern.at('String'), 'a text that is not empty', literal);
    return (text) => text.replaceAll(literal, () => content);
  }
  const expression = REPLACED.get(pattern.text('Regex')) ?? knownPattern(pattern.text('Regex'), pattern.at('Regex'));
  return (text) => text.replace(expression, () => content);
}

/** A text that is put in the place of others, so that its length multiplies. */
export function shortText(step: Fields, key: string): string {
  const text = step.text(key);
  if (text.length > LONGEST_REPLACEMENT)
    throw mismatch(step.at(key), `at most ${LONGEST_REPLACEMENT} characters`, text);
  return text;
}

/** Expressions that only normalizers have. */
const REPLACED: ReadonlyMap<string, RegExp> = new Map([
  [' {2,}', / {2,}/g],
  [String.raw`\s{2,}|[\n\r\t]`, /\p{White_Space}{2,}|[\n\r\t]/gu],
]);

function strip(text: string, left: boolean, right: boolean): string {
  const begin = left ? text.search(/\P{White_Space}/u) : 0;
  if (begin < 0) return '';
  let end = text.length;
  if (right) while (end > begin && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
  return text.slice(begin, end);
}

function readBert(step: Fields): Normalise {
  const clean = step.flag('clean_text', true);
  const chinese = step.flag('handle_chinese_chars', true);
  const lowercase = step.flag('lowercase', true);
  const accents = step.flag('strip_accents', lowercase);
  return (text) => {
    let result = text;
    if (clean)
      result = result.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu, '').replace(/\p{White_Space}/gu, ' ');
    if (chinese) result = result.replace(/\P{ASCII}/gu, (c) => (isChinese(c.codePointAt(0) ?? 0) ? ` ${c} ` : c));
    if (accents) result = result.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lowercase ? lowerCase(result) : result;
  };
}

/** Letter by letter: no letter sees whether it ends a word. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]+|\P{ASCII}/gu, (part) => part.toLowerCase());
}

const NMT_REMOVED = new RegExp(String.raw`[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]`, 'g');
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

function fromBase64(text: string, where: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw mismatch(where, 'base64', text);
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
