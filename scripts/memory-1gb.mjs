// Loads a synthetic GGUF of 1 GB onto the GPU and shows how far JavaScript's own memory (heap, external, array buffers) grows meanwhile.
// Usage: node --expose-gc scripts/memory-1gb.mjs [BYTES] [--stream]. Like a file on disk, or --stream: like a download. Exits with 1 when growth reaches 128 MB.
import { parseArgs } from 'node:util';
import { createServer } from 'vite';

const { values, positionals } = parseArgs({ options: { stream: { type: 'boolean' } }, allowPositionals: true });
const bytes = Number(positionals[0] ?? 2 ** 30);
const limit = 128e6;
const vite = await createServer({ server: { middlewareMode: true, ws: false }, appType: 'custom', logLevel: 'error' });
const { createNodeGpu } = await vite.ssrLoadModule('/src/cli/dawn.ts');
const { loadModel } = await vite.ssrLoadModule('/src/model/load_model.ts');
const { syntheticGgufSource } = await vite.ssrLoadModule('/tests/support/synthetic_gguf.ts');

const gpu = await createNodeGpu();
const own = () => {
  const { heapUsed, external } = process.memoryUsage(); // external includes array buffers
  return heapUsed + external;
};
globalThis.gc?.();
const start = own();
let peak = 0;
let read = 0;
const began = performance.now();
const file = syntheticGgufSource({ bytes });
const model = await loadModel(values.stream ? { ...file, readSync: undefined } : file, {
  backend: 'webgpu',
  gpu,
  contextLength: 512,
  onProgress: ({ phase, loaded }) => {
    if (phase === 'weights') read = loaded;
    peak = Math.max(peak, own() - start);
  },
});
const seconds = (performance.now() - began) / 1000;
const megabytes = (value) => `${(value / 1e6).toFixed(1)} MB`;
console.log(
  `read ${megabytes(read)} of weights in ${seconds.toFixed(1)} s; JavaScript's memory grew by at most ${megabytes(peak)} (limit ${megabytes(limit)})`,
);
console.log(`GPU buffers: ${megabytes(model.device.allocatedBytes)}`);
model.dispose();
await vite.close();
process.exit(peak < limit && read > 0.9 * bytes ? 0 : 1);
