/** Firefox's side of WebGPU: the kernel self-test of the built package under Deno, which has wgpu and the naga compiler. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const DENO = ['run', '--unstable-webgpu', '-A', 'scripts/naga-selftest.mjs'];

// lavapipe as in tests/gpu/setup.ts: compiling is what takes the time here.
const env = { GALLIVM_PERF: 'nopt', LP_NATIVE_VECTOR_WIDTH: '128', ...process.env };

it('every kernel with every weight format passes under wgpu with naga', async ({ signal }) => {
  // Without patience left the process ends with the test.
  const { stdout, stderr } = await promisify(execFile)('node_modules/.bin/deno', DENO, { env, signal }).catch(
    (failed: { stdout?: string; stderr?: string }) => failed,
  );
  expect(stdout, stderr).toMatch(/^wgpu\/naga, seed \d+: \d\d+ checks passed, 0 failed$/m);
});
