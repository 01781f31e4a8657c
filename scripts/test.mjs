// `npm test`: makes sure of a driver and a browser, then runs every test: without a GPU, on this machine's GPU (or lavapipe), on
// SwiftShader where Chromium brings it, in the browser, and the kernel self-test under wgpu/naga. Ends with one line: N passed, N failed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const runtimeFolder = process.env.XDG_RUNTIME_DIR ?? mkdtempSync(join(tmpdir(), 'tessera-runtime-'));
const env = { ...process.env, XDG_RUNTIME_DIR: runtimeFolder };
const reports = mkdtempSync(join(tmpdir(), 'tessera-test-'));

function run(title, command, args) {
  console.log(`\n== ${title}`);
  const started = Date.now();
  const { status } = spawnSync(command, args, { stdio: 'inherit', env });
  console.log(
    `== ${title}: ${status === 0 ? 'ok' : `exit status ${status}`}, ${((Date.now() - started) / 1000).toFixed(0)} s`,
  );
  return status === 0;
}

if (!run('driver and browser', process.execPath, ['scripts/ensure-gpu.mjs'])) process.exit(1);
if (!existsSync('/usr/lib/chromium/vk_swiftshader_icd.json'))
  console.log('\n== SwiftShader: Chromium on this machine does not bring a Vulkan driver file; left out');
// In one run, so that no core waits for the last file of a part.
const report = join(reports, 'tests.json');
const ok = run('tests', process.execPath, [
  'node_modules/vitest/vitest.mjs',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
]);
const { numPassedTests: passed, numFailedTests } = existsSync(report)
  ? JSON.parse(readFileSync(report, 'utf8'))
  : { numPassedTests: 0, numFailedTests: 0 };
// A file that fails to load has no failed test of its own.
const failed = numFailedTests === 0 && !ok ? 1 : numFailedTests;

rmSync(reports, { recursive: true });
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
