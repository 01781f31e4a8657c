import { describe, expect, it } from 'vitest';
import { type Batch, GREEDY, type Segment } from '../../../src/engine/runner';
import { InternalError } from '../../../src/errors';
import { seededRandom } from '../../../src/model/random';
import { describeStep, StepEncoder, stepBufferWords } from '../../../src/model/step_encoder';
import {
  HEADER,
  PAGE_SIZE,
  ROW_WORDS,
  SAMPLING,
  SAMPLING_WORDS,
  SEGMENT,
  SEGMENT_WORDS,
} from '../../../src/ops/step_layout';

const CAPACITY = { maxRows: 64, maxSegments: 4, maxSampledRows: 16, contextLength: 256, tileRows: 5 };

function segment(fields: Partial<Segment> & Pick<Segment, 'tokens'>): Segment {
  return { slot: 0, position: 0, pages: [0, 1, 2, 3, 4, 5, 6, 7], sample: 'none', sampling: GREEDY, ...fields };
}

describe('StepEncoder', () => {
  it('writes what a kernel reads: rows, segments, sampled rows, tiles and block tables of any batch', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const below = (n: number) => Math.floor(random() * n);
    const encoder = new StepEncoder(CAPACITY);
    for (let round = 0; round < 200; round++) {
      const segments = Array.from({ length: 1 + below(4) }, (_, slot): Segment => {
        const tokens = Array.from({ length: 1 + below(12) }, () => below(1000));
        const sample = tokens.length <= 4 ? (['none', 'last', 'all'] as const)[below(3)] : 'last';
        return segment({
          slot,
          tokens,
          position: below(200),
          sample,
          pages: Array.from({ length: 8 }, () => below(99)),
        });
      });
      const { words, shape } = encoder.encode({ segments });
      const step = describeStep({ segments });
      const context = `seed ${seed}, round ${round}`;
      expect(words[HEADER.rows], context).toBe(step.rows.length);
      expect([shape.rows, shape.segments, shape.sampledRows], context).toEqual([
        step.rows.length,
        segments.length,
        step.sampled.length,
      ]);
      expect(shape.maxLength, context).toBe(Math.max(...step.segments.map(({ length }) => length)));
      step.rows.forEach((row, i) => {
        const at = words[HEADER.rowsOffset] + i * ROW_WORDS;
        expect([...words.subarray(at, at + 3)], context).toEqual([row.token, row.position, row.segment]);
      });
      step.sampled.forEach(({ row, segment }, i) => {
        const at = words[HEADER.sampledOffset] + i * 2;
        expect([...words.subarray(at, at + 2)], context).toEqual([row, segment]);
      });
      step.segments.forEach((expected, i) => {
        const at = words[HEADER.segmentsOffset] + i * SEGMENT_WORDS;
        expect(words[at + SEGMENT.slot], context).toBe(expected.slot);
        expect(words[at + SEGMENT.length], context).toBe(expected.length);
        const table = words[at + SEGMENT.pagesOffset];
        const pages = Math.ceil(expected.length / PAGE_SIZE);
        expect([...words.subarray(table, table + pages)], context).toEqual(expected.pages.slice(0, pages));
      });
      // Every row lies in exactly one tile, and no tile crosses a segment's border.
      const covered = new Set<number>();
      for (let tile = 0; tile < shape.tiles; tile++) {
        const at = words[HEADER.tilesOffset] + tile * 2;
        const owner = step.segments[words[at]];
        const end = Math.min(words[at + 1] + CAPACITY.tileRows, owner.firstRow + owner.rowCount);
        expect(words[at + 1], context).toBeGreaterThanOrEqual(owner.firstRow);
        for (let row = words[at + 1]; row < end; row++) {
          expect(covered.has(row), context).toBe(false);
          covered.add(row);
        }
      }
      expect(covered.size, context).toBe(step.rows.length);
      expect(words.length, context).toBeLessThanOrEqual(stepBufferWords(CAPACITY));
    }
  });

  it('says whether plain greedy choice is enough for the whole step', () => {
    const encoder = new StepEncoder(CAPACITY);
    const greedy = (sampling: Partial<typeof GREEDY>, sample: Segment['sample'] = 'last') =>
      encoder.encode({ segments: [segment({ tokens: [1], sample, sampling: { ...GREEDY, ...sampling } })] }).shape
        .greedy;
    expect(greedy({})).toBe(true);
    expect(greedy({ topK: 5, seed: 3 })).toBe(true);
    expect(greedy({ temperature: 1 })).toBe(false);
    expect(greedy({ presencePenalty: 0.1 })).toBe(false);
    expect(greedy({ topLogprobs: 0 })).toBe(false);
    expect(greedy({ logitBias: [[1, 2]] })).toBe(false);
    expect(greedy({ temperature: 1 }, 'none')).toBe(true);
  });

  it('hands floats over by their bits', () => {
    const sampling = { ...GREEDY, temperature: 0.7, topK: 40, seed: 2 ** 40 + 5 };
    const { words } = new StepEncoder(CAPACITY).encode({
      segments: [segment({ tokens: [1], sample: 'last', sampling })],
    });
    const record = words.slice(words[HEADER.samplingOffset], words[HEADER.samplingOffset] + SAMPLING_WORDS);
    expect(new Float32Array(record.buffer)[SAMPLING.temperature]).toBe(Math.fround(0.7));
    expect([record[SAMPLING.topK], record[SAMPLING.seedLow], record[SAMPLING.seedHigh]]).toEqual([40, 5, 256]);
  });

  it.each<[string, Batch]>([
    ['more rows than the capacity', { segments: [segment({ tokens: Array.from({ length: 65 }, () => 1) })] }],
    ['a position past the context', { segments: [segment({ tokens: [1], position: 256 })] }],
    ['too few pages', { segments: [segment({ tokens: [1], position: 32, pages: [0] })] }],
    ['no rows', { segments: [segment({ tokens: [] })] }],
  ])('refuses a batch with %s', (_name, batch) => {
    expect(() => new StepEncoder(CAPACITY).encode(batch)).toThrow(InternalError);
  });

  it('appends masks of allowed tokens, and says where each sampled row has its own', () => {
    const encoder = new StepEncoder({ ...CAPACITY, maskWords: 2 });
    const [a, b] = [Uint32Array.of(1, 2), Uint32Array.of(3, 4)];
    const segments = [
      segment({ tokens: [1], sample: 'last' }),
      segment({ slot: 1, tokens: [1, 2, 3], sample: 'all', masks: [a, undefined, b] }),
    ];
    const { words, shape } = encoder.encode({ segments });
    expect(shape.features).toEqual(['masks']);
    const table = words.subarray(words[HEADER.masksOffset], words[HEADER.masksOffset] + 4);
    expect([table[0], table[2]]).toEqual([0, 0]);
    expect([...words.subarray(table[1], table[1] + 2)]).toEqual([1, 2]);
    expect([...words.subarray(table[3], table[3] + 2)]).toEqual([3, 4]);
    // The next step knows nothing of them.
    const next = encoder.encode({ segments: segments.slice(0, 1) });
    expect(next.words[HEADER.masksOffset]).toBe(0);
    expect(next.shape.features).toEqual([]);
  });

  it.each([
    ['too few masks', { masks: [] }, 1],
    ['a mask of another vocabulary', { masks: [new Uint32Array(3)] }, 1],
    ['a repeated batch', { masks: [new Uint32Array(2)] }, 2],
  ])('refuses %s', (_, fields, repeat) => {
    const encoder = new StepEncoder({ ...CAPACITY, maskWords: 2 });
    const segments = [segment({ tokens: [1], sample: 'last', ...fields })];
    expect(() => encoder.encode({ segments, repeat })).toThrow(InternalError);
  });
});
