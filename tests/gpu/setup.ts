// Gives the tests what a browser has: WebGPU's globals and navigator.gpu, by Dawn.
import { afterAll, expect } from 'vitest';
import { createNodeGpu } from '../../src/cli/dawn';

// lavapipe's vectors: of four lanes they compile in three fifths of the time that eight take, its own choice on most machines, but run twice as
// long. Subgroups are as wide.
const COMPILES_MOST = /conformance|attention_cases|linear\.|linear_space|linear_tunings|experts|recurrent/;
if (COMPILES_MOST.test(expect.getState().testPath ?? '')) process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';

// Node 20 has no navigator.
if (globalThis.navigator === undefined)
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
Object.defineProperty(globalThis.navigator, 'gpu', { value: await createNodeGpu(), configurable: true });

// Dawn keeps the process alive as long as somebody holds its instance.
afterAll(() => {
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
});
