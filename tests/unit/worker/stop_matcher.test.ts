import { describe, expect, test } from 'vitest';
import { StopMatcher } from '../../../src/worker/stop_matcher';
import { pick, seeded } from '../../support/seeded';

function pieces(text: string, random: () => number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = 1 + Math.floor(random() * 4);
    parts.push(text.slice(at, at + length));
    at += length;
  }
  return parts;
}

describe('StopMatcher', () => {
  test('a stop string that is cut by token borders is found, and no part of it is emitted', () => {
    const matcher = new StopMatcher(['\n\nUser:']);
    expect(['Hi.', '\n', '\nUs', 'er', ': more'].map((piece) => matcher.push(piece))).toEqual(['Hi.', '', '', '', '']);
    expect(matcher.matched).toBe(true);
    expect(matcher.flush()).toBe('');
  });

  test('text that only looked like the beginning is emitted as soon as that is known', () => {
    const matcher = new StopMatcher(['###']);
    expect(matcher.push('a#')).toBe('a');
    expect(matcher.push('#b')).toBe('##b');
    expect(matcher.push('##')).toBe('');
    expect(matcher.flush()).toBe('##');
  });

  test('the first to be complete wins, wherever the pieces are cut', () => {
    for (let seed = 0; seed < 400; seed++) {
      const random = seeded(seed);
      const word = (length: number) => Array.from({ length }, () => pick(random, ['a', 'b', 'c'])).join('');
      const text = word(5 + Math.floor(random() * 60));
      const stops = Array.from({ length: 1 + Math.floor(random() * 4) }, () => word(1 + Math.floor(random() * 5)));
      // By the definition, character by character: the answer is over when it ends with a stop string for the first time.
      const cuts = Array.from({ length: text.length + 1 }, (_, end) => text.slice(0, end)).map((read) =>
        Math.min(...stops.filter((stop) => read.endsWith(stop)).map((stop) => read.length - stop.length)),
      );
      const cut = cuts.find((start) => start < Number.POSITIVE_INFINITY);
      const expected = text.slice(0, cut);

      const matcher = new StopMatcher(stops);
      let emitted = '';
      for (const piece of pieces(text, random)) {
        emitted += matcher.push(piece);
        expect(expected.startsWith(emitted), `seed ${seed}: "${emitted}" of "${expected}"`).toBe(true);
      }
      emitted += matcher.flush();
      expect(emitted, `seed ${seed}`).toBe(expected);
      expect(matcher.matched).toBe(cut !== undefined);
    }
  });

  test('holds back nothing that cannot become a stop string', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = seeded(seed);
      const matcher = new StopMatcher(['aab', 'ba']);
      let all = '';
      let emitted = '';
      for (let i = 0; i < 20 && !matcher.matched; i++) {
        const piece = pick(random, ['a', 'b', 'c', 'ca']);
        all += piece;
        emitted += matcher.push(piece);
        const held = all.slice(emitted.length);
        if (!matcher.matched && held) expect(['aab', 'ba'].some((stop) => stop.startsWith(held))).toBe(true);
      }
    }
  });
});
