import { describe, expect, it } from 'vitest';
import { StreamingDecoder } from '../../../src/tokenizer/streaming_decoder';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';
import { bpeGguf, spmGguf } from './support/vocabularies';

const SEED = Math.floor(Math.random() * 2 ** 32);
const BYTE = 5;

describe('StreamingDecoder', () => {
  it(`gives what decode gives, and never half a character (seed ${SEED})`, () => {
    const random = seeded(SEED);
    for (const tokenizer of [createTokenizer(spmGguf(['▁a', 'é', '😀'])), createTokenizer(bpeGguf(['a b']))]) {
      for (let round = 0; round < 200; round++) {
        const tokens = tokenizer.encode(
          Array.from({ length: 12 }, () => pick(random, Array.from('a é中😀𝒳\n<'))).join('') +
            pick(random, ['', '<|im_end|>', ' b']),
          { special: true },
        );
        const decoder = new StreamingDecoder(tokenizer);
        let text = '';
        for (const token of tokens) {
          const piece = decoder.push(token);
          expect(piece).not.toContain('\ufffd');
          text += piece;
        }
        text += decoder.flush();
        expect(text).toBe(tokenizer.decode(tokens));
      }
      for (let round = 0; round < 200; round++) {
        const tokens = Array.from({ length: 20 }, () => Math.floor(random() * tokenizer.vocabSize));
        const decoder = new StreamingDecoder(tokenizer);
        const pieces = tokens.map((token) => decoder.push(token));
        expect(pieces.join('') + decoder.flush()).toBe(tokenizer.decode(tokens));
      }
    }
  });

  it('holds a character back until its last byte, and says when it never came', () => {
    const decoder = new StreamingDecoder(createTokenizer(spmGguf([])));
    expect([0xf0, 0x9f, 0x98, 0x80].map((byte) => decoder.push(BYTE + byte))).toEqual(['', '', '', '😀']);
    expect(decoder.push(BYTE + 0xe2)).toBe('');
    expect(decoder.flush()).toBe('\ufffd');
  });

  it('leaves control tokens out, and keeps a byte order mark', () => {
    const tokenizer = createTokenizer(spmGguf(['▁a', '\ufeff']));
    expect(tokenizer.decode(tokenizer.encode('<s>\ufeffa<|im_end|>', { special: true }))).toBe('\ufeffa');
  });

  it('shows lone surrogates as U+FFFD', () => {
    const tokenizer = createTokenizer(bpeGguf([]));
    expect(tokenizer.decode(tokenizer.encode('a\ud800b\udc00😀'))).toBe('a\ufffdb\ufffd😀');
  });
});
