/** The logits of a row are the same to the bit alone and among others, whoever they are, through a whole model: nothing in a plan mixes rows. */
import { describe, expect, test } from 'vitest';
import { GREEDY, type Segment } from '../../src/engine/runner';
import { type LoadedModel, loadModel } from '../../src/model/load_model';
import { seededRandom } from '../../src/model/random';
import { syntheticModel } from '../../src/model/synthetic';
import type { DecoderShape } from '../../src/model/synthetic_shapes';
import type { ActivationType } from '../../src/ops/op';
import { BARE, type Variant } from './variants';

const DENSE: DecoderShape = {
  numLayers: 1,
  hiddenSize: 96,
  intermediateSize: 160,
  numHeads: 3,
  numKvHeads: 1,
  headDim: 32,
  vocabSize: 300,
  contextLength: 64,
  ropeTheta: 10_000,
  tied: true,
};
/** Each row has experts of its own. */
const EXPERTS: DecoderShape = { ...DENSE, architecture: 'qwen3moe', experts: { count: 5, used: 2, size: 64 } };
const SHAPE = Math.random() < 0.5 ? DENSE : EXPERTS;
/** Mixed: values in another format than queries and keys, which then share a dispatch. */
const FORMAT = Math.random() < 0.5 ? 'q8_0' : 'q4_k_m';
const MAX_ROWS = 16;
/** More than a page, so that rows read what others wrote steps before. */
const LENGTH = 37;
/** The sequence that is watched has slot and page 0 … 1, each neighbour the next two pages. */
const PAGES_EACH = 2;

const VARIANTS: readonly (Variant & { readonly activationType: ActivationType })[] = [
  { ...BARE, activationType: 'f32' },
  { name: 'f16 activations without subgroups', options: { without: ['subgroups'] }, activationType: 'f16' },
  { name: 'default limits', options: { defaultLimits: true }, activationType: 'f32' },
  { name: 'f16 activations', options: {}, activationType: 'f16' },
];

/** Compiling dominates: without the full matrix each run takes one of them, in turn. */
const chosen =
  process.env['TESSERA_MATRIX'] === 'full' ? VARIANTS : [VARIANTS[Math.floor(Math.random() * VARIANTS.length)]];

type Split = (position: number) => { readonly rows: number; readonly neighbours: number };

/** Logits of each position of the sequence, computed in the steps that `split` says, among neighbours with random tokens. */
async function logitsOf(model: LoadedModel, tokens: readonly number[], seed: number, split: Split) {
  const random = seededRandom(seed);
  const int = (below: number) => Math.floor(random() * below);
  const found: Uint32Array[] = [];
  for (let position = 0; position < LENGTH; ) {
    const { neighbours, ...step } = split(position);
    const rows = Math.min(step.rows, LENGTH - position);
    const segment = (slot: number, tokens: readonly number[], position: number): Segment => ({
      slot,
      tokens,
      position,
      pages: Array.from({ length: PAGES_EACH }, (_, i) => slot * PAGES_EACH + i),
      sample: 'all',
      sampling: GREEDY,
      returnLogits: slot === 0,
    });
    const watched = segment(0, tokens.slice(position, position + rows), position);
    const others: Segment[] = [];
    for (let left = Math.min(neighbours, MAX_ROWS - rows), slot = 1; left > 0; slot++) {
      const count = 1 + int(Math.min(left, 4));
      // A neighbour reads a cache that nobody has written: whatever is there is no concern of the watched rows.
      others.push(
        segment(
          slot,
          Array.from({ length: count }, () => int(SHAPE.vocabSize)),
          int(60 - count),
        ),
      );
      left -= count;
    }
    const at = int(others.length + 1);
    const result = await model.runner.run({ segments: [...others.slice(0, at), watched, ...others.slice(at)] });
    for (const row of result.segments[at].logits ?? []) found.push(new Uint32Array(row.slice().buffer));
    position += rows;
  }
  return found;
}

describe.each(chosen)('$name', ({ options, activationType }) => {
  test(`a row of ${SHAPE.experts ? 'experts' : 'a dense model'} in ${FORMAT} has the logits that it has alone`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const model = await loadModel(syntheticModel('tiny', SHAPE, FORMAT, 7), {
      backend: 'webgpu',
      ...options,
      activationType,
      maxRows: MAX_ROWS,
      maxSlots: MAX_ROWS,
      contextLength: 64 * MAX_ROWS,
    });
    try {
      const random = seededRandom(seed);
      const tokens = Array.from({ length: LENGTH }, () => Math.floor(random() * SHAPE.vocabSize));
      const alone = await logitsOf(model, tokens, seed, () => ({ rows: 1, neighbours: 0 }));
      expect(alone).toHaveLength(LENGTH);
      expect(new Set(alone.map((row) => row[0])).size).toBeGreaterThan(LENGTH / 2);
      const splits: Readonly<Record<string, Split>> = {
        'one row among up to 15': (position) => ({ rows: 1, neighbours: position % MAX_ROWS }),
        'runs of rows among others': (position) => ({ rows: 2 + (position % 5), neighbours: 3 + (position % 8) }),
        'full steps of its own': () => ({ rows: MAX_ROWS, neighbours: 0 }),
      };
      for (const [name, split] of Object.entries(splits)) {
        const among = await logitsOf(model, tokens, seed, split);
        const different = among.findIndex((row, i) => row.some((word, j) => word !== alone[i][j]));
        expect(different, `${name}, seed ${seed}: first position that differs`).toBe(-1);
      }
    } finally {
      model.dispose();
    }
  });
});
