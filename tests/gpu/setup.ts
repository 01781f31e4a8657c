// Gives the tests what a browser has: WebGPU's globals and navigator.gpu, by Dawn.
import { afterAll, expect } from 'vitest';
import { createNodeGpu } from '../../src/cli/dawn';

// lavapipe. Vectors of four lanes compile in three fifths of the time that eight take, its own choice on most machines, but run twice as long;
// subgroups are as wide. Without LLVM's optimiser kernels compile in four fifths of the time, and what runs long, whole models too, takes longer.
const COMPILES_MOST =
  /gpu\/(attention|autotune|embed|experts|linear|matrix|recurrent|row_invariance|sample_cases|synthetic)/;
const path = expect.getState().testPath ?? '';
const compilesMost = COMPILES_MOST.test(path);
if (compilesMost) process.env['GALLIVM_PERF'] ??= 'nopt';
if (compilesMost || path.includes('/conformance/')) process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';

// Node 20 has no navigator.
if (globalThis.navigator === undefined)
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
Object.defineProperty(globalThis.navigator, 'gpu', { value: await createNodeGpu(), configurable: true });

// Dawn keeps the process alive as long as somebody holds its instance.
afterAll(() => {
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
});
