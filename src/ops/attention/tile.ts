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
  /** Workgroups that share the rows of one attention tile of the step. */
  readonly parts: number;
  /** Rows of a workgroup. */
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

/** The widest panels that are tried. */
const MAX_PANEL_QUADS = 16;

/** The tile of the prefill kernel that one workgroup has to itself, with the widest panels that fit. */
export function prefillTile(numHeads: number, numKvHeads: number, headDim: number): PrefillTile {
  for (let panelQuads = MAX_PANEL_QUADS; panelQuads >= 1; panelQuads /= 2) {
    const tile = prefillTileOf(numHeads, numKvHeads, headDim, 1, panelQuads);
    if (tile) return tile;
  }
  throw new InternalError(`no attention tile for heads of ${headDim} dimensions`);
}

/** The tile with panels of this width, its rows shared by so many workgroups; undefined when that does not fit, or when the rows cannot be shared evenly. */
export function prefillTileOf(
  numHeads: number,
  numKvHeads: number,
  headDim: number,
  parts: number,
  panelQuads: number,
): PrefillTile | undefined {
  const quads = headDim / 4;
  const most = Math.min(16, Math.floor(INVOCATIONS / quads)) * VECTORS_PER_INVOCATION;
  const { heads, headChunks } = splitHeads(numHeads / numKvHeads, most);
  const rows = Math.floor(most / heads) / parts;
  if (!Number.isInteger(rows)) return undefined;
  const vectorGroups = parts === 1 ? most / VECTORS_PER_INVOCATION : Math.ceil((rows * heads) / VECTORS_PER_INVOCATION);
  const vectors = vectorGroups * VECTORS_PER_INVOCATION;
  const fixed = (PAGE_SIZE + 1) * vectorGroups * VEC4_BYTES;
  // Rows of a panel are padded by one vec4 to keep them off each other's banks.
  const panelSize = Math.max((vectors + PAGE_SIZE) * (panelQuads + 1), quads);
  if (fixed + panelSize * VEC4_BYTES > WORKGROUP_BYTES) return undefined;
  let panelKeys = PAGE_SIZE;
  while (panelKeys * quads > panelSize) panelKeys /= 2;
  const scorers = (vectorGroups * PAGE_SIZE) / KEYS_PER_INVOCATION;
  const invocations = Math.ceil(Math.max(scorers, vectorGroups * quads) / 32) * 32;
  return { heads, headChunks, parts, rows, vectorGroups, panelQuads, panelKeys, panelSize, invocations };
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
