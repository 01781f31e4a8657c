// Runs the kernel self-test of the built package under Deno, whose WebGPU is wgpu with the naga compiler (Firefox's): what passes there
// and on Dawn is portable WGSL. Quick: each kernel with each weight format once, on cases that change from run to run.
// Usage: deno run --unstable-webgpu -A scripts/naga-selftest.mjs
import { selfTest } from '../dist/selftest.js';

const seed = 20260101 + Math.floor(Math.random() * 1000);
let passed = 0;
const failures = [];
const variants = [
  { name: 'full', without: [] },
  { name: 'without shader-f16', without: ['shader-f16'] },
];
for await (const row of selfTest({ gpu: navigator.gpu, seed, variants, quick: true })) {
  if (row.verdict === 'pass') passed++;
  else failures.push(row);
}
for (const row of failures) console.error(`${row.variant}: ${row.label} ${row.tensor} ${row.failure ?? row.error}`);
console.log(`wgpu/naga, seed ${seed}: ${passed} checks passed, ${failures.length} failed`);
Deno.exit(failures.length === 0 && passed > 0 ? 0 : 1);
