import { describe, expect, test } from 'vitest';
import { AnswerStream } from '../../../src/worker/answer_stream';

/** Tokens index into a list of texts; an "…" waits for the next token, as half a character does. */
function decoder(texts: readonly string[]) {
  let waiting = '';
  return {
    push(token: number): string {
      const text = waiting + texts[token];
      waiting = text.endsWith('…') ? text.slice(0, -1) : '';
      return text.endsWith('…') ? '' : text;
    },
    flush: () => (waiting === '' ? '' : '\ufffd'),
  };
}

function run(texts: readonly string[], stops: readonly string[]) {
  const stream = new AnswerStream<number>(decoder(texts), stops);
  const out: { text: string; scores: readonly number[] }[] = [];
  for (let token = 0; token < texts.length && !stream.stopped; token++) out.push(stream.push(token, token));
  out.push(stream.finish());
  return { text: out.map(({ text }) => text).join(''), scores: out.flatMap(({ scores }) => scores), out, stream };
}

describe('AnswerStream', () => {
  test('a score comes with the text of its token', () => {
    const { out } = run(['Hello', ' #', '# wor', 'ld'], ['###']);
    expect(out).toEqual([
      { text: 'Hello', scores: [0] },
      { text: ' ', scores: [] },
      { text: '## wor', scores: [1, 2] },
      { text: 'ld', scores: [3] },
      { text: '', scores: [] },
    ]);
  });

  test('tokens behind a stop string have no score, the one that it cuts has', () => {
    const { text, scores, stream } = run(['yes', ' no#', '##', 'never'], ['###']);
    expect(text).toBe('yes no');
    expect(scores).toEqual([0, 1]);
    expect(stream.stopped).toBe(true);
  });

  test('half a character waits, and is replaced at the end', () => {
    expect(run(['a', 'b…', 'c'], []).text).toBe('abc');
    expect(run(['a', 'b…'], []).text).toBe('a\ufffd');
  });

  test('every token of an answer without stop strings is scored once, in order', () => {
    expect(run(['a', 'b…', '', 'd#', '#'], ['##########']).scores).toEqual([0, 1, 2, 3, 4]);
  });
});
