import type { Capabilities } from '../../gpu/capabilities';
import type { AttentionCall, RopeKvCall } from '../calls';
import { type CaseSegment, caseBatch } from '../case_batch';
import { ACTIVATION_TYPES, type Activation, type ActivationType, KV_TYPES, type KvType, type OpCase } from '../op';
import { buildRopeTable } from '../rope_table';
import { MAX_DECODE_ROWS } from './decode';
import { attentionTunings, prefillTunings } from './tuning';

interface AttentionShape {
  readonly heads: readonly [numHeads: number, numKvHeads: number, headDim: number];
  readonly segments: readonly CaseSegment[];
  readonly kvType?: KvType;
  readonly type?: ActivationType;
  readonly window?: number;
  readonly mask?: AttentionCall['mask'];
  readonly softcap?: number;
  readonly sinks?: boolean;
  /** Multiplies the usual 1/√headDim: large scores make one key take it all. */
  readonly sharpness?: number;
  /** Rotates and writes the step's rows first, as a layer does. */
  readonly withRope?: boolean;
  readonly contextLength?: number;
}

/** One row each, so that row r sees lengths[r] positions. */
function decodeRows(...lengths: readonly number[]): CaseSegment[] {
  return lengths.map((length) => ({ position: length - 1, rows: 1 }));
}

const DECODE: readonly AttentionShape[] = [
  { heads: [1, 1, 8], segments: decodeRows(1) },
  { heads: [8, 8, 32], segments: decodeRows(31, 1, 257) },
  { heads: [9, 3, 64], segments: decodeRows(700, 33, 256, 255), kvType: 'f16' },
  { heads: [8, 2, 128], segments: decodeRows(513), kvType: 'f16', type: 'f16' },
  { heads: [14, 2, 64], segments: [{ position: 250, rows: 16 }] },
  { heads: [16, 2, 80], segments: decodeRows(32, 300) },
  { heads: [16, 1, 256], segments: decodeRows(40, 270), kvType: 'f16' },
  { heads: [6, 3, 64], segments: decodeRows(700, 5, 290), window: 40 },
  { heads: [4, 4, 96], segments: [{ position: 600, rows: 3 }], window: 300, kvType: 'f16' },
  { heads: [4, 1, 64], segments: decodeRows(300, 600), sharpness: 30 },
  { heads: [2, 1, 32], segments: decodeRows(700), contextLength: 70000 },
  { heads: [4, 1, 64], segments: decodeRows(300, 600), sharpness: 9, softcap: 5, sinks: true },
  { heads: [6, 3, 64], segments: [{ position: 0, rows: 12 }], mask: 'full', window: 7, sinks: true },
  { heads: [8, 1, 512], segments: decodeRows(290, 7), kvType: 'f16', sinks: true },
  { heads: [4, 2, 64], segments: [...decodeRows(257), { position: 0, rows: 5 }], withRope: true },
  { heads: [9, 3, 64], segments: decodeRows(64, 95, 1), withRope: true, kvType: 'f16', window: 40 },
  { heads: [8, 2, 96], segments: decodeRows(300, 31), kvType: 'q8_0' },
  { heads: [6, 2, 32], segments: decodeRows(290, 1), kvType: 'q4_0', type: 'f16' },
  { heads: [4, 2, 64], segments: [...decodeRows(34), { position: 0, rows: 5 }], withRope: true, kvType: 'q8_0' },
];

const PREFILL: readonly AttentionShape[] = [
  { heads: [1, 1, 8], segments: [{ position: 0, rows: 17 }] },
  { heads: [8, 8, 32], segments: [{ position: 30, rows: 65 }, ...decodeRows(257, 1)] },
  {
    heads: [9, 3, 64],
    segments: [...decodeRows(700), { position: 0, rows: 31 }, { position: 255, rows: 2 }, { position: 224, rows: 33 }],
    kvType: 'f16',
  },
  { heads: [8, 2, 128], segments: [{ position: 100, rows: 40 }], kvType: 'f16', type: 'f16' },
  { heads: [14, 2, 64], segments: [{ position: 0, rows: 40 }, ...decodeRows(33)] },
  { heads: [16, 2, 80], segments: [{ position: 3, rows: 40 }] },
  { heads: [16, 1, 256], segments: [{ position: 0, rows: 17 }], kvType: 'f16' },
  { heads: [20, 1, 256], segments: [{ position: 30, rows: 17 }] },
  { heads: [6, 3, 64], segments: [{ position: 200, rows: 65 }, ...decodeRows(700)], window: 40 },
  { heads: [4, 4, 96], segments: [{ position: 0, rows: 40 }], window: 33, kvType: 'f16' },
  { heads: [4, 1, 64], segments: [{ position: 60, rows: 40 }], sharpness: 30 },
  { heads: [4, 1, 64], segments: [{ position: 60, rows: 40 }], sharpness: 9, softcap: 5, sinks: true },
  { heads: [6, 3, 64], segments: [{ position: 0, rows: 70 }, ...decodeRows(1)], mask: 'full', sinks: true },
  { heads: [6, 3, 64], segments: [{ position: 0, rows: 70 }], mask: 'full', window: 50 },
  { heads: [8, 1, 512], segments: [{ position: 30, rows: 17 }], kvType: 'f16' },
  { heads: [4, 2, 192], segments: [{ position: 30, rows: 17 }], kvType: 'f16' },
  { heads: [4, 2, 64], segments: [{ position: 255, rows: 40 }, ...decodeRows(31)], withRope: true },
  { heads: [8, 2, 96], segments: [{ position: 30, rows: 20 }], kvType: 'q8_0' },
  { heads: [6, 2, 32], segments: [{ position: 30, rows: 20 }], kvType: 'q4_0' },
];

/**
 * Decode and prefill: head dimensions, group sizes and page borders that are odd on purpose; several sequences on shuffled pages, single
 * rows riding along with a prefill, windows, scores far apart, both KV and activation types.
 */
export function attentionCases(seed: number): readonly OpCase[] {
  return [...DECODE, ...PREFILL].map((shape, i) => attentionCase(shape, seed + i));
}

/** Both kernels with every tuning that they know, on one shape each. */
export function attentionTuningCases(seed: number): readonly OpCase[] {
  return [
    ...decodeTuningCases({ heads: [12, 2, 64], kvType: 'f16' }, seed),
    ...prefillTuningCases({ heads: [12, 4, 64], kvType: 'f16' }, seed),
  ];
}

/** Both kernels with every tuning that they know, with every type of cache and of activations that a device can have, on three shapes of heads. */
export function attentionSpaceCases({ f16 }: Capabilities, seed: number): readonly OpCase[] {
  const types = ACTIVATION_TYPES.filter((type) => type === 'f32' || f16);
  const heads: readonly AttentionShape['heads'][] = [
    [12, 4, 64],
    [8, 2, 128],
    [4, 1, 256],
  ];
  const shapes = KV_TYPES.flatMap((kvType) =>
    types.flatMap((type) => heads.map((each) => ({ heads: each, kvType, type }))),
  );
  return shapes.flatMap((shape) => [...decodeTuningCases(shape, seed), ...prefillTuningCases(shape, seed)]);
}

type TuningShape = Pick<AttentionShape, 'heads' | 'kvType' | 'type'>;

/** A tile that ends in the middle of a part, one of a single row, and parts without any. */
function prefillTuningCases(shape: TuningShape, seed: number): OpCase[] {
  const segments = [{ position: 40, rows: 29 }, ...decodeRows(34), { position: 0, rows: 3 }];
  const plain = attentionCase({ ...shape, segments }, seed);
  const call = plain.calls.find(({ op }) => op === 'attention') as AttentionCall;
  return prefillTunings(call).map((tuning) => ({
    ...plain,
    label: `${plain.label} parts ${tuning.parts} panels of ${tuning.panelQuads}`,
    tuning: { linear: () => undefined, attention: () => tuning },
  }));
}

function decodeTuningCases(shape: TuningShape, seed: number): OpCase[] {
  const plain = attentionCase({ ...shape, segments: decodeRows(300, 34) }, seed);
  const call = plain.calls.find(({ op }) => op === 'attention') as AttentionCall;
  return attentionTunings(call).map((tuning) => ({
    ...plain,
    label: `${plain.label} workgroup ${tuning.workgroupSize} lanes per key ${tuning.lanesPerKey}`,
    tuning: { linear: () => undefined, attention: () => tuning },
  }));
}

function attentionCase(shape: AttentionShape, seed: number): OpCase<AttentionCall | RopeKvCall> {
  const { segments, kvType = 'f32', type = 'f32', window, sharpness = 1, withRope = false, mask, softcap } = shape;
  const [numHeads, numKvHeads, headDim] = shape.heads;
  // What slides finds its pages in a pool of its own.
  const slides = mask === 'full' ? undefined : window;
  const { batch, numPages, sliding, rows, maxLength } = caseBatch(segments, seed, slides);
  const contextLength = shape.contextLength ?? maxLength;
  const decode = rows <= MAX_DECODE_ROWS;
  const activation = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type });
  const q = activation('q', numHeads * headDim);
  const out = activation('out', numHeads * headDim);
  const cache = { layer: 0, numKvHeads, headDim, window: slides };
  const attention: AttentionCall = {
    op: 'attention',
    q,
    cache,
    out,
    numHeads,
    scale: sharpness / Math.sqrt(headDim),
    window,
    mask,
    softcap,
    sinks: shape.sinks ? { name: 'sinks', length: numHeads } : undefined,
  };
  const table = buildRopeTable({ ropeDims: headDim, base: 10000, contextLength });
  const rope: RopeKvCall = {
    op: 'rope_kv',
    qkv: activation('qkv', (numHeads + 2 * numKvHeads) * headDim),
    q,
    cache,
    numHeads,
    table: { name: 'table', length: table.length },
    ropeDims: headDim,
    pairing: 'halves',
  };
  // Both executors read the same quantised cache, unless each has filled its own: then a value that lies halfway may be rounded either way.
  const exact = type === 'f32' && (kvType === 'f32' || (kvType !== 'f16' && !withRope));
  const traits = [
    `${numHeads}/${numKvHeads}×${headDim}`,
    `rows ${rows} length ${maxLength}`,
    `${type} kv ${kvType}`,
    ...(window === undefined ? [] : [`window ${window}`]),
    ...(sharpness === 1 ? [] : [`sharp ${sharpness}`]),
    ...(mask === undefined ? [] : [mask]),
    ...(softcap === undefined ? [] : [`cap ${softcap}`]),
    ...(shape.sinks ? ['sinks'] : []),
    ...(withRope ? ['after rope_kv'] : []),
  ];
  return {
    label: `attention ${decode ? 'decode' : 'prefill'} ${traits.join(' ')}`,
    calls: withRope ? [rope, attention] : [attention],
    batch,
    bucket: decode ? { minRows: 1, maxRows: MAX_DECODE_ROWS } : { minRows: MAX_DECODE_ROWS + 1, maxRows: rows },
    contextLength,
    numPages,
    sliding,
    kvType,
    inputs: withRope ? { table } : undefined,
    outputs: [{ tensor: out, budget: exact ? 1e-9 : 1e-6 }],
  };
}
