import { describe, expect, it } from 'vitest';
import { InternalError } from '../../../src/errors';
import { buildRopeTable, ropeAngle, ropeTableLength, yarnFactors } from '../../../src/ops/rope_table';

/** Combines the two levels in f32, as kernels do. */
function kernelAngle(table: Float32Array, ropeDims: number, position: number, pair: number): [number, number] {
  const f = Math.fround;
  const low = (position % 256) * ropeDims + 2 * pair;
  const high = (256 + Math.floor(position / 256)) * ropeDims + 2 * pair;
  const [a, b, c, d] = [table[low], table[low + 1], table[high], table[high + 1]];
  return [f(f(a * c) - f(b * d)), f(f(a * d) + f(b * c))];
}

describe('rope table', () => {
  it.each([
    { ropeDims: 128, base: 500000, contextLength: 131072 },
    { ropeDims: 64, base: 10000, contextLength: 40000, positionScale: 0.125 },
    { ropeDims: 20, base: 10000, contextLength: 300 },
  ])('gives the sines of every position to 1e-6, %o', (options) => {
    const { ropeDims, base, contextLength, positionScale = 1 } = options;
    const table = buildRopeTable(options);
    expect(table.length).toBe(ropeTableLength(ropeDims, contextLength));
    const positions = [0, 1, 255, 256, 257, contextLength - 1];
    for (let i = 0; i < 300; i++) positions.push(Math.floor(Math.random() * contextLength));
    for (const position of positions.filter((p) => p < contextLength)) {
      for (let pair = 0; pair < ropeDims / 2; pair++) {
        const angle = position * positionScale * base ** ((-2 * pair) / ropeDims);
        const [cos, sin] = kernelAngle(table, ropeDims, position, pair);
        expect(Math.abs(cos - Math.cos(angle)), `cos at ${position}, pair ${pair}`).toBeLessThan(1e-6);
        expect(Math.abs(sin - Math.sin(angle)), `sin at ${position}, pair ${pair}`).toBeLessThan(1e-6);
      }
    }
  });

  it('divides each angle by its frequency factor', () => {
    const frequencyFactors = [1, 2, 8, 0.5];
    const table = buildRopeTable({ ropeDims: 8, base: 10000, contextLength: 2000, frequencyFactors });
    for (const [pair, factor] of frequencyFactors.entries()) {
      const [cos] = ropeAngle(table, 8, 1234, pair);
      expect(cos).toBeCloseTo(Math.cos((1234 * 10000 ** (-pair / 4)) / factor), 6);
    }
  });

  it('multiplies the rotation by the attention factor once, at every position', () => {
    const table = buildRopeTable({ ropeDims: 4, base: 10000, contextLength: 1000, attentionFactor: 1.25 });
    for (const position of [0, 5, 255, 256, 999]) {
      for (const pair of [0, 1]) expect(Math.hypot(...ropeAngle(table, 4, position, pair))).toBeCloseTo(1.25, 5);
    }
  });

  it('YaRN keeps pairs that turn often over the original context and stretches those that hardly turn', () => {
    const options = { ropeDims: 128, base: 10000, factor: 4, originalContext: 4096, betaFast: 32, betaSlow: 1 };
    const factors = yarnFactors(options);
    const turns = (pair: number) =>
      options.originalContext / (2 * Math.PI * options.base ** ((2 * pair) / options.ropeDims));
    expect(factors).toHaveLength(64);
    factors.forEach((factor, pair) => {
      // A pair of room on either side, because the border is rounded to whole pairs.
      if (turns(pair - 1) > 32 && turns(pair + 1) > 32) expect(factor, `pair ${pair}`).toBe(1);
      else if (turns(pair - 1) < 1) expect(factor, `pair ${pair}`).toBe(4);
      else expect(factor).toBeGreaterThanOrEqual(factors[pair - 1] ?? 1);
    });
    expect(factors.some((factor) => factor > 1.1 && factor < 3.9)).toBe(true);
  });

  it('refuses shapes that cannot be', () => {
    const good = { ropeDims: 8, base: 10000, contextLength: 32 };
    for (const bad of [
      { ropeDims: 7 },
      { ropeDims: 0 },
      { contextLength: 0 },
      { contextLength: Number.NaN },
      { base: -1 },
      { frequencyFactors: [1, 2, 3] },
    ]) {
      expect(() => buildRopeTable({ ...good, ...bad }), JSON.stringify(bad)).toThrow(InternalError);
    }
  });
});
