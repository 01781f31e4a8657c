// `npm run bench`: builds the command and runs the suite on the demo model, then on synthetic models that this machine can run in reasonable
// time. Arguments are passed on to `tessera bench`: npm run bench -- --quick --profile. With --json one array of reports:
// npm run --silent bench -- --json
import { spawnSync } from 'node:child_process';

const DEMO = 'public/models/demo.q8_0.gguf';
const SYNTHETIC = [
  'synthetic:smollm2-135m:q4_0',
  'synthetic:llama-3.2-1b:q4_0',
  'synthetic:llama-3.2-1b:f16',
  'synthetic:llama-3.1-8b:q4_0',
];
/** A model whose weights take longer to read once than this is left out: the suite reads them a few hundred times. */
const SECONDS_PER_TOKEN = 0.15;

function run(command, args, stdio) {
  const { status, stdout } = spawnSync(command, args, { stdio, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

const tessera = (args) => run(process.execPath, ['bin/tessera.js', ...args], ['ignore', 'pipe', 'inherit']);
const args = process.argv.slice(2);
const wantsJson = args.includes('--json');

run(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--mode', 'cli', '--logLevel', 'warn'], 'inherit');
const { machine, software } = JSON.parse(tessera(['bench', '--machine', '--json']));
const reports = [];
for (const model of [DEMO, ...SYNTHETIC]) {
  const { memory } = JSON.parse(tessera(['inspect', model, '--json']));
  const seconds = memory.weights / (machine.streamReadGBs * 1e9);
  if (model !== DEMO && seconds > SECONDS_PER_TOKEN) {
    console.error(
      `${model}: left out, reading its weights once takes at least ${seconds.toFixed(2)} s at ${machine.streamReadGBs.toFixed(1)} GB/s`,
    );
    continue;
  }
  if (!wantsJson) console.log(`## ${model}\n`);
  // A software adapter takes minutes for what a GPU does in seconds.
  const quick = software && model !== DEMO && !args.includes('--quick') ? ['--quick'] : [];
  const report = tessera(['bench', model, ...quick, ...args]);
  if (wantsJson) reports.push(JSON.parse(report));
  else console.log(report);
}
if (wantsJson) console.log(JSON.stringify(reports, undefined, 2));
