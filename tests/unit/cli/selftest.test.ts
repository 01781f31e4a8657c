import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main';
import type { KernelVariantRow } from '../../../src/model/test_variants';

const asked = vi.hoisted(() => [] as unknown[]);
const rows = vi.hoisted(() => [] as KernelVariantRow[]);
vi.mock('../../../src/cli/dawn', () => ({ createNodeGpu: async () => ({}) }));
vi.mock('../../../src/model/test_variants', () => ({
  testKernelVariants: async function* (options: unknown) {
    asked.push(options);
    yield* rows;
  },
}));

afterEach(() => {
  vi.restoreAllMocks();
  rows.length = 0;
  asked.length = 0;
});

async function tessera(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: '', err: '' };
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => (written.out += String(chunk)) !== '');
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => (written.err += String(chunk)) !== '');
  const status = await main(['selftest', ...args]);
  vi.restoreAllMocks();
  return { status, ...written };
}

const right: KernelVariantRow = {
  op: 'linear',
  label: 'linear q4_0 gemv 1',
  variant: 'full',
  tensor: 'out',
  error: 1e-10,
  budget: 1e-9,
  verdict: 'pass',
  done: 1,
  total: 3,
};
const wrong: KernelVariantRow = { ...right, label: 'linear q4_0 gemv 2', error: 0.5, verdict: 'FAIL', done: 2 };
const broken: KernelVariantRow = {
  ...right,
  label: 'attention decode 64',
  error: Number.NaN,
  verdict: 'FAIL',
  failure: 'did not compile',
  done: 3,
};

describe('tessera selftest --variants', () => {
  it('names each wrong variant with its error, sums up, and exits with 1', async () => {
    rows.push(right, wrong, broken);
    const { status, out, err } = await tessera('--variants', '--slice', '2/8', '--seed', '5', '--filter', 'q4');
    expect(status).toBe(1);
    expect(asked).toMatchObject([{ seed: 5, filter: 'q4', slice: { part: 2, of: 8 } }]);
    expect(out).toMatch(/FAIL {2}full {2}linear q4_0 gemv 2 {2}out {2}5\.0e-1 of 1\.0e-9/);
    expect(out).toMatch(/FAIL {2}full {2}attention decode 64 .*did not compile/);
    expect(out).not.toContain('linear q4_0 gemv 1 ');
    expect(out).toMatch(/linear q4_0 +2 +1 +10 %/);
    expect(out).toMatch(/attention decode +1 +1 /);
    expect(out).toContain('1 passed, 2 failed (seed 5)');
    expect(err).toContain('2 of 3 checks failed');
  });

  it('exits with 0 when all are right; as JSON every row is there', async () => {
    rows.push(right);
    expect(await tessera('--variants')).toMatchObject({ status: 0 });
    const { out } = await tessera('--variants', '--json', '--seed', '3');
    expect(JSON.parse(out)).toMatchObject({ seed: 3, passed: 1, failed: 0, rows: [{ label: right.label }] });
  });

  it.each([
    [['--variants', '--slice', '0/8'], /--slice: "0\/8" is not a part like 2\/8/],
    [['--variants', '--slice', '9/8'], /--slice/],
    [['--variants', '--slice', '2'], /--slice/],
    [['--slice', '2/8'], /--slice: goes with --variants/],
    [['--variants', '--filter', 'nothing of the kind'], /--filter: no check is left/],
  ])('refuses %j', async (args, message) => {
    const { status, err } = await tessera(...args);
    expect(status).toBe(1);
    expect(err).toMatch(message);
  });
});
