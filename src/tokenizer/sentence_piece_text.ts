import type { CharsMap } from './charsmap';
import { checkGrowth } from './growth';
import { SPACE } from './spaces';

interface SentencePieceTextOptions {
  readonly charsMap?: CharsMap;
  /** Whether text begins with a space that nobody wrote. */
  readonly spacePrefix: boolean;
  /** Whether spaces in a row are one, and those at the ends none. */
  readonly mergesSpaces: boolean;
}

/** Text as SentencePiece's normaliser leaves it, with `SPACE` for spaces. */
export function sentencePieceText(options: SentencePieceTextOptions): (text: string) => string {
  const { charsMap, spacePrefix, mergesSpaces } = options;
  return (text) => {
    const mapped = charsMap ? applyCharsMap(text, charsMap) : text;
    let result = '';
    let inWord = false;
    let hasPrefix = false;
    for (const part of mapped.match(/ |[^ ]+/g) ?? []) {
      if (part === ' ') {
        inWord = false;
        if (!mergesSpaces) result += SPACE;
        continue;
      }
      if (!inWord && (mergesSpaces || (spacePrefix && !hasPrefix))) {
        result += SPACE;
        hasPrefix = true;
      }
      inWord = true;
      result += part;
    }
    return result;
  };
}

/** The longest sequences that the table knows, from left to right, give way to their replacements. */
export function applyCharsMap(text: string, charsMap: CharsMap): string {
  const input = new TextEncoder().encode(text);
  const output: number[] = [];
  for (let at = 0; at < input.length; ) {
    const match = charsMap.match(input, at);
    const length = match?.length ?? utf8Length(input[at]);
    for (const byte of match?.replacement ?? input.subarray(at, at + length)) output.push(byte);
    at += length;
    checkGrowth(output.length, input.length, 'the normalisation table');
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(output));
}

function utf8Length(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
