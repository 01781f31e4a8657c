/**
 * Tile shapes of the attention kernels: pure functions of the head shape that count workgroup memory, so that every head shape fits into
 * WebGPU's default 16 KiB and 256 invocations. The kernels take them as constants.
 */
import { InternalError } from '../../errors';
import { PAGE_SIZE } from '../step_layout';

const WORKGROUP_BYTES = 16384;
const INVOCATIONS = 256;
const VEC4_BYTES = 16;

/** Query vectors that one invocation of the prefill kernel accumulates, and keys that it scores at a time. */
const VECTORS_PER_INVOCATION = 4;
const KEYS_PER_INVOCATION = 2;

export interface PrefillTile {
  /** Query heads of a KV group that one workgroup serves, and workgroups that the group takes. */
  readonly heads: number;
  readonly headChunks: number;
  /** Rows whose query vectors (rows × heads) fit into the tile. */
  readonly rows: number;
  /** Groups of four query vectors. */
  readonly vectorGroups: number;
  /** Width of the Q and K panels, in vec4s. */
  readonly panelQuads: number;
  /** Keys of a V panel. */
  readonly panelKeys: number;
  /** vec4s of the memory that the panels share. */
  readonly panelSize: number;
  readonly invocations: number;
}

/** Divides the `group` query heads of a KV head evenly over as few workgroups as serve at most `most` each. */
function splitHeads(group: number, most: number): { readonly heads: number; readonly headChunks: number } {
  const heads = Math.ceil(group / Math.ceil(group / most));
  return { heads, headChunks: Math.ceil(group / heads) };
}

export function prefillTile(numHeads: number, numKvHeads: number, headDim: number): PrefillTile {
  const quads = headDim / 4;
  const vectorGroups = Math.min(16, Math.floor(INVOCATIONS / quads));
  const vectors = vectorGroups * VECTORS_PER_INVOCATION;
  const { heads, headChunks } = splitHeads(numHeads / numKvHeads, vectors);
  const fixed = (PAGE_SIZE + 1) * vectorGroups * VEC4_BYTES;
  for (let panelQuads = 16; panelQuads >= 1; panelQuads /= 2) {
    // Rows of a panel are padded by one vec4 to keep them off each other's banks.
    const panelSize = Math.max((vectors + PAGE_SIZE) * (panelQuads + 1), quads);
    if (fixed + panelSize * VEC4_BYTES > WORKGROUP_BYTES) continue;
    let panelKeys = PAGE_SIZE;
    while (panelKeys * quads > panelSize) panelKeys /= 2;
    const scorers = (vectorGroups * PAGE_SIZE) / KEYS_PER_INVOCATION;
    const invocations = Math.max(scorers, vectorGroups * quads);
    return {
      heads,
      headChunks,
      rows: Math.floor(vectors / heads),
      vectorGroups,
      panelQuads,
      panelKeys,
      panelSize,
      invocations: Math.ceil(invocations / 32) * 32,
    };
  }
  throw new InternalError(`no attention tile for heads of ${headDim} dimensions`);
}

/** Rows of one segment that a workgroup of the prefill kernel serves: the most that the step buffer's attention tiles may hold. */
export function attentionTileRows(numHeads: number, numKvHeads: number, headDim: number): number {
  return prefillTile(numHeads, numKvHeads, headDim).rows;
}

export interface DecodeTile {
  readonly heads: number;
  readonly headChunks: number;
  /** vec4s that hold one value of each head: 1 or 2. */
  readonly headQuads: number;
  /** Keys whose scores are held at once: a multiple of the page and of those that the lanes score at once. */
  readonly keys: number;
}

/** vec4s of workgroup memory that the decode kernel takes for each head quad. */
function decodeVec4s(headDim: number, workgroupSize: number, keys: number): number {
  return headDim + workgroupSize + keys + PAGE_SIZE;
}

/** The tile of the decode kernel with the most keys that fit. */
export function decodeTile(numHeads: number, numKvHeads: number, headDim: number, workgroupSize: number): DecodeTile {
  for (const most of [8, 4]) {
    const { heads, headChunks } = splitHeads(numHeads / numKvHeads, most);
    const headQuads = Math.ceil(heads / 4);
    for (let keys = SPLIT_POSITIONS; keys >= PAGE_SIZE; keys /= 2) {
      if (decodeVec4s(headDim, workgroupSize, keys) * headQuads * VEC4_BYTES <= WORKGROUP_BYTES) {
        return { heads, headChunks, headQuads, keys };
      }
    }
  }
  throw new InternalError(`no decode attention tile for heads of ${headDim} dimensions`);
}

const SPLIT_POSITIONS = 256;
const MAX_SPLITS = 128;

/**
 * Positions of one split of decode attention. It depends on the longest context alone, never on a step: a row is cut at the same
 * positions whatever else runs with it, which is what makes its result the same bit for bit.
 */
export function splitPositions(contextLength: number): number {
  let positions = SPLIT_POSITIONS;
  while (positions * MAX_SPLITS < contextLength) positions *= 2;
  return positions;
}
