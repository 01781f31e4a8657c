// `npm test`: makes sure of a driver and a browser, then runs every test: on this machine's GPU (or lavapipe), on SwiftShader where
// Chromium brings it, and the kernel self-test under wgpu/naga. Ends with one line: N passed, N failed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const runtimeFolder = process.env.XDG_RUNTIME_DIR ?? mkdtempSync(join(tmpdir(), 'tessera-runtime-'));
const env = { ...process.env, XDG_RUNTIME_DIR: runtimeFolder };
const reports = mkdtempSync(join(tmpdir(), 'tessera-test-'));
let passed = 0;
let failed = 0;

function run(title, command, args) {
  console.log(`\n== ${title}`);
  const started = Date.now();
  const { status } = spawnSync(command, args, { stdio: 'inherit', env });
  console.log(
    `== ${title}: ${status === 0 ? 'ok' : `exit status ${status}`}, ${((Date.now() - started) / 1000).toFixed(0)} s`,
  );
  return status === 0;
}

function vitest(title, projects) {
  const report = join(reports, `${title.replaceAll(/\W+/g, '-')}.json`);
  const ok = run(title, process.execPath, [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]);
  const result = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { numPassedTests: 0, numFailedTests: 0 };
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  // A file that fails to load has no failed test of its own.
  if (!ok && result.numFailedTests === 0) failed++;
}

function check(title, command, args) {
  if (run(title, command, args)) passed++;
  else failed++;
}

if (!run('driver and browser', process.execPath, ['scripts/ensure-gpu.mjs'])) process.exit(1);
vitest('unit', ['unit']);
const swiftshader = existsSync('/usr/lib/chromium/vk_swiftshader_icd.json');
if (!swiftshader)
  console.log('\n== SwiftShader: Chromium on this machine does not bring a Vulkan driver file; left out');
// In one run, so that no core waits for the other's last file.
vitest(swiftshader ? 'GPU and SwiftShader' : 'GPU', ['gpu', 'conformance', ...(swiftshader ? ['swiftshader'] : [])]);
vitest('browser', ['e2e']);
check('self-test under wgpu/naga', 'node_modules/.bin/deno', [
  'run',
  '--unstable-webgpu',
  '-A',
  'scripts/naga-selftest.mjs',
]);

rmSync(reports, { recursive: true });
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
