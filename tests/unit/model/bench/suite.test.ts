import { expect, test, vi } from 'vitest';
import { fileSource } from '../../../../src/cli/file_source';
import type { BenchmarkProgress } from '../../../../src/model/bench/suite';
import { QUICK_SETTINGS, runSuite } from '../../../../src/model/bench/suite';

/** A GPU on which one kernel is wrong; nothing but the self-test may ask for a device here, there is none. */
vi.mock('../../../../src/model/selftest', () => ({
  async *selfTest() {
    const row = { variant: 'this device', tensor: 'out', budget: 1e-9 };
    yield { ...row, op: 'embed', label: 'embed q8_0', error: 0, verdict: 'pass' };
    yield { ...row, op: 'linear', label: 'linear q8_0 64→7', error: 0.5, verdict: 'FAIL' };
    yield { ...row, op: 'glu', label: 'glu', error: Number.NaN, verdict: 'FAIL', failure: 'it does not compile' };
  },
}));

test('on a GPU that fails the self-test nothing is measured, and the report says which op', async () => {
  const progress: BenchmarkProgress[] = [];
  const report = await runSuite(await fileSource('public/models/demo.q8_0.gguf'), {
    settings: QUICK_SETTINGS,
    load: { backend: 'webgpu' },
    runtime: 'test',
    selfTest: true,
    onProgress: (each) => progress.push(each),
  });
  expect(report.selfTest).toEqual({
    passed: 1,
    failures: [
      { op: 'linear', label: 'linear q8_0 64→7', reason: 'error 5.0e-1 of 1.0e-9' },
      { op: 'glu', label: 'glu', reason: 'it does not compile' },
    ],
  });
  expect(report.leftOut.map(({ what }) => what)).toContain('all figures');
  expect(report).toMatchObject({ prefill: [], decode: [], rows: [] });
  expect(report.machine).toBeUndefined();
  expect(progress[0].doing).toBe('self-test');
  expect(progress.every(({ fraction }) => fraction >= 0 && fraction <= 1)).toBe(true);
});

test('settings that mean nothing are refused by name before anything is read', async () => {
  const origin = await fileSource('public/models/demo.q8_0.gguf');
  const run = (settings: object) =>
    runSuite(origin, { settings: { ...QUICK_SETTINGS, ...settings }, load: { backend: 'reference' }, runtime: '' });
  await expect(run({ prefill: [0] })).rejects.toMatchObject({ code: 'invalid_option', field: 'prefill' });
  await expect(run({ depths: [-1] })).rejects.toMatchObject({ field: 'depths' });
  await expect(run({ tokens: 5 })).rejects.toMatchObject({ field: 'tokens' });
  await expect(run({ maxSeconds: Number.NaN })).rejects.toMatchObject({ field: 'maxSeconds' });
});
