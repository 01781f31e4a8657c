import { describe, expect, test } from 'vitest';
import { stepCost } from '../../../src/model/step_cost';
import type { OpCall } from '../../../src/ops/calls';
import type { Activation, Weight } from '../../../src/ops/op';
import { planeBytes } from '../../../src/ops/weights/layout';

const step = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type: 'f32' });
const state = { name: 's', words: 4 };
const table: Weight = { name: 'table', format: 'q4_0', rows: 320, cols: 64 };
const inner: Weight = { name: 'inner', format: 'f16', rows: 96, cols: 64 };
const cache = { layer: 0, numKvHeads: 2, headDim: 16 };

const linear = (x: Activation, weight: Weight, out: Activation): OpCall => ({
  op: 'linear',
  x,
  weight,
  out,
  outColumn: 0,
  accumulate: false,
  epilogue: 'none',
});

const attention = (window?: number): OpCall => ({
  op: 'attention',
  q: step('q', 64),
  cache,
  out: step('attended', 64),
  numHeads: 4,
  scale: 1,
  window,
});

const calls: OpCall[] = [
  { op: 'embed', table, lastTokens: state, out: step('x', 64), scale: 1 },
  linear(step('x', 64), inner, step('y', 96)),
  attention(),
  linear(step('x', 64), table, { name: 'logits', cols: 320, rows: 'sampled', type: 'f32' }),
];

/** Pairs of a query and a key that it sees, one by one. */
function visiblePairs(rows: number, length: number, window: number): number {
  let pairs = 0;
  for (let query = length - rows; query < length; query++) {
    for (let key = 0; key <= query; key++) if (query - key < window) pairs++;
  }
  return pairs;
}

describe('stepCost', () => {
  const total = ({ quants, scales }: { quants: number; scales: number }): number => quants + scales;
  const innerBytes = total(planeBytes('f16', 96, 64));
  const tableBytes = total(planeBytes('q4_0', 320, 64));
  const rowBytes = total(planeBytes('q4_0', 1, 64));

  test('reads every weight once and one row of the table for each token', () => {
    const one = stepCost(calls, { rows: 1, length: 10, sampledRows: 1 }, 'f16');
    expect(one.weightBytes).toBe(innerBytes + tableBytes + rowBytes);
    expect(one.kvBytes).toBe(10 * 2 * 2 * 16 * 2);
    expect(one.flops).toBe(2 * 96 * 64 + 2 * 320 * 64 + 4 * 10 * 4 * 16);
    expect(stepCost(calls, { rows: 1, length: 10, sampledRows: 1 }, 'f32').kvBytes).toBe(2 * one.kvBytes);
  });

  test('leaves the head out where nothing is sampled, and counts what each row sees', () => {
    const { weightBytes, kvBytes, flops } = stepCost(calls, { rows: 7, length: 19, sampledRows: 0 }, 'f16');
    expect(weightBytes).toBe(innerBytes + 7 * rowBytes);
    expect(kvBytes).toBe(19 * 2 * 2 * 16 * 2);
    expect(flops).toBe(7 * 2 * 96 * 64 + 4 * visiblePairs(7, 19, 100) * 4 * 16);
  });

  test('a window bounds what is read', () => {
    const { kvBytes, flops } = stepCost([attention(5)], { rows: 3, length: 40, sampledRows: 0 }, 'f16');
    expect(kvBytes).toBe(7 * 2 * 2 * 16 * 2);
    expect(flops).toBe(4 * visiblePairs(3, 40, 5) * 4 * 16);
  });
});
