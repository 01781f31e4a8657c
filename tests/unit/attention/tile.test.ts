import { describe, expect, it } from 'vitest';
import {
  attentionTileRows,
  decodeTile,
  prefillTile,
  prefillTileOf,
  splitPositions,
} from '../../../src/ops/attention/tile';
import {
  attentionTunings,
  decodeTuning,
  defaultPrefillTuning,
  prefillTunings,
} from '../../../src/ops/attention/tuning';
import type { AttentionCall } from '../../../src/ops/calls';
import type { Activation, KernelTarget } from '../../../src/ops/op';

const KIB = 1024;
const PAGE = 32;
const GROUPS = [1, 2, 3, 4, 7, 8, 12, 16, 71];
const HEAD_DIMS = Array.from({ length: 128 }, (_, i) => 4 * (i + 1));
const SHAPES = GROUPS.flatMap((group) => HEAD_DIMS.map((headDim) => ({ group, headDim })));

function decodeCall(group: number, headDim: number): AttentionCall {
  const activation = (name: string): Activation => ({ name, cols: group * headDim, rows: 'step', type: 'f32' });
  const cache = { layer: 0, numKvHeads: 1, headDim };
  return { op: 'attention', q: activation('q'), cache, out: activation('out'), numHeads: group, scale: 1 };
}

describe('attention tiles', () => {
  it('of prefill stay within the default workgroup limits and serve every head', () => {
    for (const { group, headDim } of SHAPES) {
      const tile = prefillTile(2 * group, 2, headDim);
      const label = `group ${group}, head dimension ${headDim}`;
      const vectors = 4 * tile.vectorGroups;
      const vec4s = tile.panelSize + (PAGE + 1) * tile.vectorGroups;
      expect(vec4s * 16, label).toBeLessThanOrEqual(16 * KIB);
      expect(tile.invocations, label).toBeLessThanOrEqual(256);
      expect(tile.heads * tile.headChunks, label).toBeGreaterThanOrEqual(group);
      expect(tile.heads * (tile.headChunks - 1), label).toBeLessThan(group);
      expect(tile.rows, label).toBeGreaterThanOrEqual(1);
      expect(tile.rows * tile.heads, label).toBeLessThanOrEqual(vectors);
      expect((vectors + PAGE) * (tile.panelQuads + 1), label).toBeLessThanOrEqual(tile.panelSize);
      expect(tile.panelKeys * (headDim / 4), label).toBeLessThanOrEqual(tile.panelSize);
      expect(Number.isInteger(PAGE / tile.panelKeys), label).toBe(true);
      // One invocation per (four vectors, two keys) of scores and (four vectors, four dimensions) of values.
      expect(tile.invocations, label).toBeGreaterThanOrEqual(tile.vectorGroups * (PAGE / 2));
      expect(tile.invocations, label).toBeGreaterThanOrEqual(tile.vectorGroups * (headDim / 4));
      expect(attentionTileRows(2 * group, 2, headDim)).toBe(tile.rows);
    }
  });

  it('of prefill come in tunings that share a tile evenly and fit too', () => {
    for (const { group, headDim } of SHAPES) {
      const call = decodeCall(group, headDim);
      const whole = prefillTile(group, 1, headDim);
      expect(defaultPrefillTuning(call)).toEqual({ kernel: 'prefill', parts: 1, panelQuads: whole.panelQuads });
      for (const { parts, panelQuads } of prefillTunings(call)) {
        const tile = prefillTileOf(group, 1, headDim, parts, panelQuads);
        const label = `group ${group}, head dimension ${headDim}, ${parts} parts, panels of ${panelQuads}`;
        expect(tile?.rows, label).toBe(whole.rows / parts);
        if (!tile) continue;
        expect(tile.rows * tile.heads, label).toBeLessThanOrEqual(4 * tile.vectorGroups);
        expect((tile.panelSize + (PAGE + 1) * tile.vectorGroups) * 16, label).toBeLessThanOrEqual(16 * KIB);
        expect(tile.panelKeys * (headDim / 4), label).toBeLessThanOrEqual(tile.panelSize);
        expect(tile.invocations, label).toBeGreaterThanOrEqual(tile.vectorGroups * Math.max(PAGE / 2, headDim / 4));
        expect(tile.invocations, label).toBeLessThanOrEqual(256);
      }
    }
    expect(prefillTunings(decodeCall(4, 64)).map(({ parts }) => parts)).toContain(4);
  });

  it('of decode stay within the default workgroup memory and serve every head', () => {
    for (const { group, headDim } of SHAPES) {
      for (const workgroupSize of [64, 128, 256]) {
        const tile = decodeTile(group, 1, headDim, workgroupSize);
        const label = `group ${group}, head dimension ${headDim}, workgroup ${workgroupSize}`;
        const vec4s = (headDim + workgroupSize + tile.keys + PAGE) * tile.headQuads;
        expect(vec4s * 16, label).toBeLessThanOrEqual(16 * KIB);
        expect(tile.keys % PAGE, label).toBe(0);
        expect(tile.heads, label).toBeLessThanOrEqual(4 * tile.headQuads);
        expect(tile.heads * tile.headChunks, label).toBeGreaterThanOrEqual(group);
      }
    }
  });

  it('of decode come in tunings for every head, whose lanes serve a whole value and score no more keys than the tile has', () => {
    for (const { group, headDim } of SHAPES) {
      const tunings = attentionTunings(decodeCall(group, headDim));
      expect(tunings).toContainEqual({ kernel: 'decode', workgroupSize: 128, lanesPerKey: 4 });
      for (const { workgroupSize, lanesPerKey } of tunings) {
        expect(workgroupSize).toBeGreaterThanOrEqual(headDim / 4);
        expect(workgroupSize / lanesPerKey).toBeLessThanOrEqual(decodeTile(group, 1, headDim, workgroupSize).keys);
      }
    }
  });

  it('refuse a tuning that the kernel cannot run with', () => {
    const call = decodeCall(4, 512);
    const tuning = {
      linear: () => undefined,
      attention: () => ({ kernel: 'decode', workgroupSize: 64, lanesPerKey: 4 }) as const,
    };
    expect(() => decodeTuning(call, { kvType: 'f16', tuning } as unknown as KernelTarget)).toThrow(
      /decode 4\/1×512 f32 kv f16 cannot run with/,
    );
  });

  it('read K and V once for a group of up to eight heads', () => {
    for (const group of [1, 2, 3, 4, 7, 8]) expect(decodeTile(group, 1, 128, 128).headChunks).toBe(1);
  });

  it('cut a context into at most 128 splits of whole pages', () => {
    for (const contextLength of [1, 255, 256, 257, 32768, 32769, 131072, 1 << 20]) {
      const positions = splitPositions(contextLength);
      expect(positions % PAGE).toBe(0);
      expect(Math.ceil(contextLength / positions)).toBeLessThanOrEqual(128);
    }
    expect(splitPositions(8192)).toBe(256);
  });
});
