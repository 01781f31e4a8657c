/**
 * How weights lie on the GPU: in two planes, both by rows. A row's columns are padded with zeros to blocks of 32; the super-blocks of
 * 256 of the K formats are always whole.
 *
 * - quants: the codes, or their lower bits. A row is cut into vectors of 4, 8, 16 or 32 values, each of which is what a lane of a kernel
 *   reads at once: a `vec4<u32>`, for Q6_K a `vec2<u32>`, for Q2_K and Q3_K a word. Codes of 4 bits lie so that byte b of a vector's word
 *   w has value 8w + b low and 8w + 4 + b high; of 2 bits so that bits 2i of byte b are value 4i + b; wider ones lie in order.
 * - scales, `array<u32>`: scales and minimums, and the upper bits of codes of 3, 5 and 6 bits. What an invocation of the repack kernel
 *   writes begins on a word, so that no two write the same one. Nothing for floats.
 *
 * shaders/quant/ has one module per format that reads this; docs/kernels/linear.md has the bytes of each.
 */
import type { WeightFormat } from '../../formats/weight_format';
import type { KernelSource } from '../../gpu/kernel';

/** Values of a block of the planes, whatever the block of the file's format. */
const BLOCK = 32;
const REPACK_LANES = 64;
const MAX_WORKGROUPS_X = 65535;

/** Words of the uniform at binding 0 of a repack kernel: rows to repack, their first row in the planes, their first row in `raw`, 0. */
export const REPACK_PARAM_WORDS = 4;

interface FormatLayout {
  /** Values of a vector. */
  readonly laneColumns: 4 | 8 | 16 | 32;
  /** Bytes of the quants plane that a block takes. */
  readonly quantBytes: number;
  /** Words of the scale plane that a row of so many blocks takes. */
  readonly scaleWords: (blocks: number) => number;
  readonly repack: {
    readonly entry: string;
    /** What the kernel reads as words begins on one, for rows of so many columns. */
    readonly onWords?: (cols: number) => boolean;
    readonly constants?: Readonly<Record<string, number>>;
    /** Vectors, blocks or groups of two or four blocks: what one invocation does. */
    readonly itemsPerRow: (blocks: number) => number;
    readonly bindings: readonly RepackBinding[];
    readonly usesCols: boolean;
  };
}

/** What a repack kernel binds, in the order of @binding. */
export type RepackBinding = 'params' | 'raw' | 'quants' | 'scales';

const pairs = (blocks: number): number => Math.ceil(blocks / 2);
const fours = (blocks: number): number => Math.ceil(blocks / 4);
const QUANTISED: readonly RepackBinding[] = ['params', 'raw', 'quants', 'scales'];
const PLAIN: readonly RepackBinding[] = ['params', 'raw', 'quants'];

/** Words of the scale plane, so many for each super-block of 256. */
function perSuperBlock(words: number): FormatLayout['scaleWords'] {
  return (blocks) => (blocks / 8) * words;
}

function q4(headerBytes: number, scaleWords: FormatLayout['scaleWords']): FormatLayout {
  return {
    laneColumns: 32,
    quantBytes: 16,
    scaleWords,
    repack: {
      entry: 'ops/repack_q4.wgsl',
      onWords: () => headerBytes === 4,
      constants: { HEADER_BYTES: headerBytes },
      itemsPerRow: pairs,
      bindings: QUANTISED,
      usesCols: false,
    },
  };
}

function q5(headerBytes: number, wordsPerPair: number): FormatLayout {
  return {
    laneColumns: 32,
    quantBytes: 16,
    scaleWords: (blocks) => pairs(blocks) * wordsPerPair,
    repack: {
      entry: 'ops/repack_q5.wgsl',
      onWords: () => headerBytes === 4,
      constants: { HEADER_BYTES: headerBytes },
      itemsPerRow: pairs,
      bindings: QUANTISED,
      usesCols: false,
    },
  };
}

/** A format of super-blocks whose repack kernel has an invocation for each block. */
function superBlocks(
  laneColumns: FormatLayout['laneColumns'],
  quantBytes: number,
  scaleWords: number,
  entry: string,
  onWords = false,
): FormatLayout {
  return {
    laneColumns,
    quantBytes,
    scaleWords: perSuperBlock(scaleWords),
    repack: { entry, onWords: () => onWords, itemsPerRow: (blocks) => blocks, bindings: QUANTISED, usesCols: false },
  };
}

/** Q4_K, and Q5_K with its bytes of fifth bits. */
function q4K(highBytes: number): FormatLayout {
  return {
    laneColumns: 32,
    quantBytes: 16,
    scaleWords: perSuperBlock(5 + highBytes / 4),
    repack: {
      entry: 'ops/repack_q4_k.wgsl',
      onWords: () => true,
      constants: { HIGH_BYTES: highBytes },
      itemsPerRow: pairs,
      bindings: QUANTISED,
      usesCols: false,
    },
  };
}

function float(valueBytes: 2 | 4): FormatLayout {
  return {
    laneColumns: valueBytes === 4 ? 4 : 8,
    quantBytes: BLOCK * valueBytes,
    scaleWords: () => 0,
    repack: {
      entry: 'ops/repack_float.wgsl',
      onWords: (cols) => (cols * valueBytes) % 4 === 0,
      constants: { VALUE_BYTES: valueBytes },
      itemsPerRow: (blocks) => blocks * 2 * valueBytes,
      bindings: PLAIN,
      usesCols: true,
    },
  };
}

const LAYOUTS: Readonly<Record<WeightFormat, FormatLayout>> = {
  f32: float(4),
  f16: float(2),
  bf16: float(2),
  q8_0: {
    laneColumns: 16,
    quantBytes: 32,
    scaleWords: pairs,
    repack: { entry: 'ops/repack_q8.wgsl', itemsPerRow: pairs, bindings: QUANTISED, usesCols: false },
  },
  q4_0: q4(2, pairs),
  q4_1: q4(4, (blocks) => blocks),
  q4_k: q4K(0),
  q5_k: q4K(32),
  q6_k: superBlocks(16, 16, 21, 'ops/repack_q6_k.wgsl'),
  q5_0: q5(2, 3),
  q5_1: q5(4, 4),
  iq4_nl: q4(2, pairs),
  iq4_xs: superBlocks(32, 16, 2, 'ops/repack_iq4_xs.wgsl', true),
  mxfp4: {
    laneColumns: 32,
    quantBytes: 16,
    scaleWords: fours,
    repack: { entry: 'ops/repack_mxfp4.wgsl', itemsPerRow: fours, bindings: QUANTISED, usesCols: false },
  },
  q3_k: superBlocks(16, 8, 12, 'ops/repack_q3_k.wgsl'),
  q2_k: superBlocks(16, 8, 5, 'ops/repack_q2_k.wgsl', true),
};

/** Blocks of 32 in a row of the planes. */
export function blocksPerRow(cols: number): number {
  return Math.ceil(cols / BLOCK);
}

/** The quant module (shaders/quant/) of a format, as the swap for the one that the kernels import. */
export function quantSwap(format: WeightFormat): Readonly<Record<string, string>> {
  return { 'quant/f32.wgsl': `quant/${format}.wgsl` };
}

const INTEGER_CODES: ReadonlySet<WeightFormat> = new Set([
  'q8_0',
  'q6_k',
  'q5_0',
  'q5_1',
  'q5_k',
  'q4_0',
  'q4_1',
  'q4_k',
  'q3_k',
  'q2_k',
]);

/** Whether a format's module has `quant_codes`: its values are signed bytes under a scale and an offset. */
export function hasIntegerCodes(format: WeightFormat): boolean {
  return INTEGER_CODES.has(format);
}

/** Columns that a lane of a kernel reads at once. */
export function laneColumns(format: WeightFormat): number {
  return LAYOUTS[format].laneColumns;
}

/** Bytes of the planes of a matrix; at least 16 each, because a binding cannot be empty. */
export function planeBytes(format: WeightFormat, rows: number, cols: number): { quants: number; scales: number } {
  const blocks = blocksPerRow(cols);
  const { quantBytes, scaleWords } = LAYOUTS[format];
  return {
    quants: Math.max(16, rows * blocks * quantBytes),
    scales: Math.max(16, rows * scaleWords(blocks) * 4),
  };
}

export interface RepackKernel {
  readonly source: KernelSource;
  /** A uniform of REPACK_PARAM_WORDS words, the raw rows as words (padded to a whole one), then the planes that are written. */
  readonly bindings: readonly RepackBinding[];
  workgroups(rows: number): readonly [x: number, y: number, z: number];
}

/**
 * The kernel that turns raw rows of `cols` columns, bytes as in the file, into the planes. Rows are written independently: a matrix
 * may come in chunks of any number of whole rows, in any order.
 */
export function repackKernel(format: WeightFormat, cols: number): RepackKernel {
  const { repack } = LAYOUTS[format];
  const blocks = blocksPerRow(cols);
  return {
    source: {
      entry: repack.entry,
      constants: { ...repack.constants, ON_WORDS: repack.onWords?.(cols) ?? false },
      overrides: repack.usesCols ? { COLS: cols, BLOCKS: blocks } : { BLOCKS: blocks },
    },
    bindings: repack.bindings,
    workgroups(rows) {
      const groups = Math.ceil((rows * repack.itemsPerRow(blocks)) / REPACK_LANES);
      const x = Math.min(groups, MAX_WORKGROUPS_X);
      return [x, x === 0 ? 0 : Math.ceil(groups / x), 1];
    },
  };
}
