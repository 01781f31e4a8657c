// Gives the tests what a browser has: WebGPU's globals and navigator.gpu, by Dawn.
import { afterAll } from 'vitest';
import { createNodeGpu } from '../../src/cli/dawn';

// Node 20 has no navigator.
if (globalThis.navigator === undefined)
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
Object.defineProperty(globalThis.navigator, 'gpu', { value: await createNodeGpu(), configurable: true });

// Dawn keeps the process alive as long as somebody holds its instance.
afterAll(() => {
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
});
