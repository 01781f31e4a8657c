import type { DryBreakers } from '../engine/dry';
import type { Tokenizer } from './contract';

/** Tokens of a breaker behind the one in which it begins. */
const MAX_TAIL = 20;

type TokenReader = Pick<Tokenizer, 'vocabSize' | 'encode' | 'tokenBytes'>;

/** Of the last strings that were asked for: looking through a vocabulary takes a moment, and most requests have the same. */
const latest = new WeakMap<TokenReader, { readonly key: string; readonly breakers: DryBreakers }>();

/**
 * The tokens of DRY's sequence breakers, found as llama.cpp finds them: a token with a whole breaker in it ends a repetition, and so does one that
 * ends as a breaker begins, when the tokens of the rest follow.
 */
export function dryBreakersOf(tokenizer: TokenReader, strings: readonly string[]): DryBreakers {
  const key = JSON.stringify(strings);
  const before = latest.get(tokenizer);
  if (before?.key === key) return before.breakers;
  const breakers = find(tokenizer, strings);
  latest.set(tokenizer, { key, breakers });
  return breakers;
}

function find(tokenizer: TokenReader, strings: readonly string[]): DryBreakers {
  const breakers = new Map<number, (readonly number[])[]>();
  const add = (token: number, tail: readonly number[]): void => {
    const tails = breakers.get(token) ?? [];
    if (!tails.some((other) => String(other) === String(tail))) breakers.set(token, [...tails, tail]);
  };
  const wanted = strings.map((text) => {
    const bytes = byteText(new TextEncoder().encode(text));
    return { bytes, tails: Array.from(bytes, (_, cut) => tailOf(tokenizer, text, cut)) };
  });
  for (let token = 0; token < tokenizer.vocabSize; token++) {
    const own = byteText(tokenizer.tokenBytes(token));
    for (const { bytes, tails } of wanted) {
      if (own.includes(bytes)) {
        add(token, []);
        continue;
      }
      for (let cut = 1; cut < bytes.length; cut++) {
        const tail = tails[cut];
        if (tail && own.endsWith(bytes.slice(0, cut))) add(token, tail);
      }
    }
  }
  return breakers;
}

/** One character a byte. */
function byteText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** The tokens of a text from its byte `cut` on; undefined within a character that no token begins in. */
function tailOf(tokenizer: TokenReader, text: string, cut: number): readonly number[] | undefined {
  const bytes = new TextEncoder().encode(text);
  if ((bytes[cut] & 0xc0) !== 0x80) {
    return tokenizer.encode(new TextDecoder().decode(bytes.subarray(cut)), { bos: false }).slice(0, MAX_TAIL);
  }
  let left = bytes.length;
  const tail: number[] = [];
  for (const token of tokenizer.encode(text, { bos: false }).reverse()) {
    left -= tokenizer.tokenBytes(token).length;
    tail.unshift(token);
    if (left === cut) return tail.slice(0, MAX_TAIL);
  }
  return undefined;
}
