/**
 * How weights lie on the GPU: in two planes, both by rows. A row's columns are padded with zeros to blocks of 32.
 *
 * - quants, `array<vec4<u32>>`: a block takes 1 vec4 (4-bit codes), 2 (8-bit), 4 (16-bit floats) or 8 (f32). 4-bit codes: byte b of
 *   word w holds value 8w + b low and value 8w + 4 + b high; the others lie in order.
 * - scales, `array<u32>`: q4_0 and q8_0 two halves a word, a row begins on a word; q4_1 one word (d, m) a block; floats none.
 *
 * shaders/quant/ has one module per format that reads this.
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
  /** vec4<u32> of the quants plane that a block takes. */
  readonly vecsPerBlock: number;
  /** Words of the scale plane that a row of so many blocks takes. */
  readonly scaleWords: (blocks: number) => number;
  readonly repack: {
    readonly entry: string;
    readonly constants?: Readonly<Record<string, number>>;
    /** Vectors or pairs of blocks: what one invocation does. */
    readonly itemsPerRow: (blocks: number) => number;
    readonly bindings: readonly RepackBinding[];
    readonly usesCols: boolean;
  };
}

/** What a repack kernel binds, in the order of @binding. */
export type RepackBinding = 'params' | 'raw' | 'quants' | 'scales';

const pairs = (blocks: number): number => Math.ceil(blocks / 2);
const QUANTISED: readonly RepackBinding[] = ['params', 'raw', 'quants', 'scales'];
const PLAIN: readonly RepackBinding[] = ['params', 'raw', 'quants'];

function q4(headerBytes: number, scaleWords: FormatLayout['scaleWords']): FormatLayout {
  return {
    vecsPerBlock: 1,
    scaleWords,
    repack: {
      entry: 'ops/repack_q4.wgsl',
      constants: { HEADER_BYTES: headerBytes },
      itemsPerRow: pairs,
      bindings: QUANTISED,
      usesCols: false,
    },
  };
}

function float(valueBytes: number): FormatLayout {
  return {
    vecsPerBlock: 2 * valueBytes,
    scaleWords: () => 0,
    repack: {
      entry: 'ops/repack_float.wgsl',
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
    vecsPerBlock: 2,
    scaleWords: pairs,
    repack: { entry: 'ops/repack_q8.wgsl', itemsPerRow: pairs, bindings: QUANTISED, usesCols: false },
  },
  q4_0: q4(2, pairs),
  q4_1: q4(4, (blocks) => blocks),
};

/** Blocks of 32 in a row of the planes. */
export function blocksPerRow(cols: number): number {
  return Math.ceil(cols / BLOCK);
}

/** The quant module (shaders/quant/) of a format, as the swap for the one that the kernels import. */
export function quantSwap(format: WeightFormat): Readonly<Record<string, string>> {
  return { 'quant/f32.wgsl': `quant/${format}.wgsl` };
}

/** Bytes of the planes of a matrix; at least 16 each, because a binding cannot be empty. */
export function planeBytes(format: WeightFormat, rows: number, cols: number): { quants: number; scales: number } {
  const blocks = blocksPerRow(cols);
  const { vecsPerBlock, scaleWords } = LAYOUTS[format];
  return {
    quants: Math.max(16, rows * blocks * vecsPerBlock * 16),
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
      constants: repack.constants,
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
