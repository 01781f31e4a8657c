import { expect, test } from 'vitest';
import { GeneratingSequence } from '../../../src/engine/generation';
import { KvPages, noCopies } from '../../../src/engine/kv_pages';
import type { PageStore } from '../../../src/engine/runner';
import { type PreemptionMode, SwapSpace } from '../../../src/engine/swap_space';
import { request } from './toy_engine';

const PAGE_BYTES = 1_000_000;

/** A sequence of 64 tokens, of which all but the last are computed, on pages of 8 MB altogether. */
function setup(mode: PreemptionMode, snapshot: PageStore['snapshot'], maxBytes = 1e9) {
  const kv = new KvPages({ numPages: 20, pageSize: 8, maxRows: 8 });
  const store: PageStore = {
    pageBytes: (group) => (group === 'full' ? PAGE_BYTES : 0),
    identity: async () => 'x',
    read: snapshot,
    snapshot,
    write: () => undefined,
  };
  const prompt = Array.from({ length: 64 }, () => 1);
  const host = { maxUnread: 1, maxOutput: 1, onReady() {}, speculator: undefined, onTokenOut() {}, onFinish() {} };
  const sequence = new GeneratingSequence(0, request(prompt), { ...host, onLeave() {} });
  kv.reserve({ owner: 0, from: 0, to: 64 }, noCopies());
  sequence.computed = 63;
  let settled = 0;
  const swap = new SwapSpace(kv, store, { mode, maxBytes, onSettled: () => settled++ });
  return { swap, sequence, settled: () => settled };
}

const instant: PageStore['snapshot'] = async (pages) => new Uint8Array(pages.length);

test('slow rows go to host memory, fast ones are computed again, and nothing is known before a prompt was measured', () => {
  // 8 MB twice at the assumed rate: 36 ms with the fixed costs.
  for (const [msPerRow, pays] of [
    [undefined, false],
    [0.1, false],
    [5, true],
  ] as const) {
    const { swap, sequence } = setup('auto', instant);
    if (msPerRow !== undefined) swap.observePrefill(10, 10 * msPerRow);
    swap.out(sequence);
    expect(swap.outs, `${msPerRow}`).toBe(pays ? 1 : 0);
    expect(swap.bytes).toBe(pays ? 8 * PAGE_BYTES : 0);
  }
});

test('a bus that was measured slow ends the swapping', async () => {
  const slow: PageStore['snapshot'] = async (pages) => {
    if (pages.length > 0) await new Promise((resolve) => setTimeout(resolve, 120));
    return new Uint8Array(pages.length);
  };
  const { swap, sequence, settled } = setup('auto', slow);
  // 63 rows take 126 ms, the copies as assumed 36.
  swap.observePrefill(10, 20);
  swap.out(sequence);
  expect(swap.positionsOf(sequence)).toBe('reading');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(settled()).toBe(1);
  expect(swap.positionsOf(sequence)).toBe(63);
  swap.in(sequence);
  swap.out(sequence);
  expect([swap.outs, swap.ins]).toEqual([1, 1]);
});

test('the cap counts all that is there; pages that cannot be read are computed again', async () => {
  const tight = setup('swap', instant, 7 * PAGE_BYTES);
  tight.swap.out(tight.sequence);
  expect(tight.swap.outs).toBe(0);
  const broken = setup('swap', () => Promise.reject(new RangeError('no memory')));
  broken.swap.out(broken.sequence);
  await new Promise((resolve) => setImmediate(resolve));
  expect(broken.settled()).toBe(1);
  expect(broken.swap.positionsOf(broken.sequence)).toBe(0);
  expect(broken.swap.bytes).toBe(0);
});
