import { InternalError } from '../errors';
import { decodeRow } from '../formats/dequantize';
import { halfToNumber, numberToHalf } from '../formats/half';
import { randomBlocks } from '../formats/random_blocks';
import { rowBytes } from '../formats/row_bytes';
import type { GpuDevice } from '../gpu/device';
import { LARGEST_HALF } from '../ops/activation_store';
import type { OpCall } from '../ops/calls';
import { decodeKv, encodeKv } from '../ops/kv_codec';
import type { ActivationType, OpCase } from '../ops/op';
import { tensorsOf } from './call_tensors';
import { caseCapacity, caseTarget } from './case_target';
import { GpuTensors } from './gpu_tensors';
import { normals, seededRandom } from './random';
import { readBuffer } from './read_buffer';
import { ReferenceExecutor, type WeightRows } from './reference_executor';
import { describeStep, StepEncoder, stepBufferWords } from './step_encoder';
import { planDispatches, preparePlans } from './webgpu_executor';
import { WeightUploader } from './weight_uploader';

export interface CaseOutcome {
  readonly label: string;
  readonly tensor: string;
  /** Normalised mean squared error against the reference; for integer state the share of words that differ. */
  readonly error: number;
  readonly budget: number;
  readonly ok: boolean;
}

type OutputTensor = OpCase['outputs'][number]['tensor'];

function nameOf(tensor: OutputTensor): string {
  return 'which' in tensor ? `${tensor.which}${tensor.layer}` : tensor.name;
}

/** Σ(actual − expected)² / Σexpected²; Infinity where anything is not finite. */
export function normalisedError(actual: Float32Array, expected: Float32Array): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = actual[i] - expected[i];
    error += difference * difference;
    power += expected[i] * expected[i];
  }
  if (!Number.isFinite(error)) return Number.POSITIVE_INFINITY;
  return power === 0 ? (error === 0 ? 0 : Number.POSITIVE_INFINITY) : error / power;
}

export function encodeFloats(values: Float32Array, type: ActivationType): ArrayBuffer {
  if (type === 'f32') return values.slice().buffer as ArrayBuffer;
  const halves = new Uint16Array(Math.ceil(values.length / 2) * 2);
  for (let i = 0; i < values.length; i++) halves[i] = numberToHalf(values[i]);
  return halves.buffer;
}

export function decodeFloats(bytes: ArrayBuffer, type: ActivationType, count: number): Float32Array {
  if (type === 'f32') return new Float32Array(bytes, 0, count);
  return Float32Array.from(new Uint16Array(bytes, 0, count), halfToNumber);
}

/** Values as the storage type holds them, so that both executors start from the same numbers. */
function rounded(values: Float32Array<ArrayBuffer>, type: ActivationType): Float32Array<ArrayBuffer> {
  if (type === 'f16') for (let i = 0; i < values.length; i++) values[i] = halfToNumber(numberToHalf(values[i]));
  return values;
}

/** What is beyond a type's range is kept as its largest value. */
function inRange(values: Float32Array, type: ActivationType): Float32Array {
  return type === 'f32' ? values : values.map((value) => Math.min(Math.max(value, -LARGEST_HALF), LARGEST_HALF));
}

/**
 * Runs one op case on a GPU and on the reference executor over the same seeded inputs and compares its outputs. Outputs that are not
 * inputs too are poisoned with NaN on the GPU first. Runs inside error scopes: a leftover error rejects.
 */
export async function runCase(gpu: GpuDevice, opCase: OpCase, seed: number): Promise<CaseOutcome[]> {
  const random = seededRandom(seed);
  const calls = opCase.calls as readonly OpCall[];
  const found = tensorsOf(calls);
  const step = describeStep(opCase.batch);
  const outputs = new Set(opCase.outputs.map(({ tensor }) => nameOf(tensor)));
  const accumulated = new Set(
    calls.flatMap((call) =>
      call.op === 'gate_rows' || ('accumulate' in call && call.accumulate) ? [call.out.name] : [],
    ),
  );
  const given = (name: string, count: number): Float32Array<ArrayBuffer> | undefined => {
    const values = opCase.inputs?.[name];
    if (values === undefined) return undefined;
    if (values.length !== count) {
      throw new InternalError(`${opCase.label}: input "${name}" has ${values.length} values, expected ${count}`);
    }
    return Float32Array.from(values);
  };

  const capacity = caseCapacity(opCase);
  const tensors = await GpuTensors.create(gpu, {
    maxRows: capacity.maxRows,
    maxSampledRows: capacity.maxSampledRows,
    numPages: opCase.numPages,
    sliding: opCase.sliding,
    kvType: opCase.kvType,
    stepWords: stepBufferWords(capacity),
    maxBindingBytes: opCase.maxBindingBytes,
  });
  try {
    const weightRows = new Map<string, WeightRows>();
    const uploader = await WeightUploader.create(gpu);
    for (const weight of found.weights) {
      const bytesPerRow = rowBytes(weight.format, weight.cols);
      const raw = randomBlocks(weight.format, weight.rows * weight.cols, random);
      await tensors.addWeight(weight);
      const words = new Uint8Array(Math.ceil(raw.length / 4) * 4);
      words.set(raw);
      await uploader.write(weight, tensors.weightParts(weight), 0, weight.rows, words);
      weightRows.set(weight.name, (row) =>
        decodeRow(weight.format, raw.subarray(row * bytesPerRow, (row + 1) * bytesPerRow), weight.cols),
      );
    }
    await uploader.finish();
    uploader.dispose();
    const vectors = new Map<string, Float32Array>();
    for (const vector of found.vectors) {
      const values = given(vector.name, vector.length) ?? normals(vector.length, random);
      vectors.set(vector.name, values);
      await tensors.addVector(vector, values);
    }

    const target = caseTarget(opCase, gpu.capabilities, (weight) => tensors.weightParts(weight));
    const [plan] = await preparePlans(gpu, tensors, [{ calls, target }]);

    const reference = new ReferenceExecutor(weightRows, vectors, opCase, opCase.kvType);
    const { queue } = gpu.device;
    for (const tensor of found.activations) {
      const target = reference.activation(tensor, step);
      const fill = given(tensor.name, target.length);
      const poison = fill === undefined && outputs.has(tensor.name) && !accumulated.has(tensor.name);
      const values = rounded(fill ?? normals(target.length, random), tensor.type);
      // Rows past the step's are poisoned too: nothing may read them.
      const buffer = tensors.activation(tensor);
      const whole = new Float32Array(buffer.size / (tensor.type === 'f16' ? 2 : 4)).fill(Number.NaN);
      if (!poison) {
        whole.set(values);
        target.set(values);
      }
      queue.writeBuffer(buffer, 0, encodeFloats(whole, tensor.type));
    }
    for (const cache of found.caches) {
      for (const which of ['k', 'v'] as const) {
        const target = reference.kv(cache, which);
        const name = nameOf({ ...cache, which });
        const values = given(name, target.length) ?? normals(target.length, random);
        const bytes = encodeKv(values, opCase.kvType);
        target.set(decodeKv(bytes, opCase.kvType, values.length));
        queue.writeBuffer(tensors.kv(cache, which), 0, bytes);
      }
    }
    for (const state of found.states) {
      const values = opCase.inputs?.[state.name];
      const target = reference.state(state);
      if (values) target.set(values);
      queue.writeBuffer(tensors.state(state), 0, target.slice());
    }

    // Scratch holds what another call left there.
    for (const binding of planDispatches(calls, target).flatMap(({ dispatch }) => dispatch.bindings)) {
      if (binding.kind !== 'scratch') continue;
      const buffer = tensors.buffer(binding);
      queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(Number.NaN));
    }

    const { words, shape } = new StepEncoder(capacity).encode(opCase.batch);
    queue.writeBuffer(tensors.step, 0, words);
    await gpu.checked(opCase.label, () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      plan.encode(pass, shape);
      pass.end();
      queue.submit([encoder.finish()]);
    });
    reference.run(calls, step);

    const outcomes: CaseOutcome[] = [];
    for (const { tensor, budget } of opCase.outputs) {
      const label = opCase.label;
      if ('words' in tensor) {
        const expected = reference.state(tensor);
        const actual = new Uint32Array(await readBuffer(gpu, tensors.state(tensor)));
        let different = 0;
        for (let i = 0; i < expected.length; i++) if (actual[i] !== expected[i]) different++;
        const error = different / expected.length;
        outcomes.push({ label, tensor: tensor.name, error, budget: 0, ok: error === 0 });
        continue;
      }
      const limit = budget === 'exact' ? 0 : budget;
      const kv = 'which' in tensor;
      const expected = kv
        ? reference.kv(tensor, tensor.which)
        : inRange(reference.activation(tensor, step), tensor.type);
      const buffer = kv ? tensors.kv(tensor, tensor.which) : tensors.activation(tensor);
      const bytes = await readBuffer(gpu, buffer);
      const actual = kv
        ? decodeKv(bytes, opCase.kvType, expected.length)
        : decodeFloats(bytes, tensor.type, expected.length);
      const error = normalisedError(actual, expected);
      outcomes.push({ label, tensor: nameOf(tensor), error, budget: limit, ok: error <= limit });
    }
    return outcomes;
  } finally {
    tensors.dispose();
  }
}
