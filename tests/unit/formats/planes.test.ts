import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS } from '../../../src/formats/blocks';
import { rowBytes } from '../../../src/formats/row_bytes';
import { WEIGHT_FORMATS } from '../../../src/formats/weight_format';
import { allShaderSources } from '../../../src/gpu/shader_sources';
import { laneColumns, planeBytes, quantSwap, repackKernel } from '../../../src/ops/weights/layout';

const sources = await allShaderSources();

describe.each(WEIGHT_FORMATS)('planes of %s', (format) => {
  it('are at most 5 % larger than the file, so that tokens cost no more bandwidth', () => {
    for (const cols of [2048, 4096, 14336]) {
      const { quants, scales } = planeBytes(format, 64, cols);
      expect(quants + scales).toBeGreaterThanOrEqual(64 * rowBytes(format, cols));
      expect(quants + scales).toBeLessThanOrEqual(1.05 * 64 * rowBytes(format, cols));
    }
  });

  it('have a quants plane that is the larger one: matrices are cut into parts by it', () => {
    const cols = Math.max(32, BLOCK_FORMATS[format].blockSize);
    const { quants, scales } = planeBytes(format, 64, cols);
    expect(quants).toBeGreaterThanOrEqual(scales);
  });

  it('have a quant module whose vectors are as wide as the layout says, and a repack kernel', () => {
    const module = sources.get(quantSwap(format)['quant/f32.wgsl']) ?? '';
    expect(module).toContain(`const QUANT_QUADS: u32 = ${laneColumns(format) / 4}u;`);
    expect(sources.has(repackKernel(format, 512).source.entry)).toBe(true);
  });
});
