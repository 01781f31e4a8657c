// Gives the tests what a browser has: WebGPU's globals and navigator.gpu, by Dawn.
import { afterAll, expect } from 'vitest';
import { createNodeGpu } from '../../src/cli/dawn';

// lavapipe's vectors: of four lanes they compile in three fifths of the time that eight take, its own choice on most machines. Subgroups are
// as wide, so that the tests that compare their sums stay with eight.
if (!/invariance/.test(expect.getState().testPath ?? '')) process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';

// Node 20 has no navigator.
if (globalThis.navigator === undefined)
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
Object.defineProperty(globalThis.navigator, 'gpu', { value: await createNodeGpu(), configurable: true });

// Dawn keeps the process alive as long as somebody holds its instance.
afterAll(() => {
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
});
