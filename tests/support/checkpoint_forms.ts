/** Orders in which checkpoints store what GGUF has otherwise: written here from what transformers' modules compute with. */
import type { GgufTensor } from '../../src/formats/gguf/gguf';
import { type Checkpoint, type Fixture, readFixture, type StoredForm, valuesOf } from './hugging_face';
import type { Differences } from './same_model';

type Values = Float32Array<ArrayBuffer>;

/** [rows, cols] as [cols, rows]. */
export function transposed(values: Values, rows: number, cols: number): Values {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let col = 0; col < cols; col++) out[col * rows + row] = values[row * cols + col];
  return out;
}

/** The rows of a matrix (or values of a vector) with `order[i]` at i. */
export function rowsInOrder(values: Values, order: readonly number[]): Values {
  const size = values.length / order.length;
  const out = new Float32Array(values.length);
  order.forEach((from, to) => {
    out.set(values.subarray(from * size, (from + 1) * size), to * size);
  });
  return out;
}

export const concatenated = (parts: readonly Values[]): Values =>
  Float32Array.from(parts.flatMap((part) => Array.from(part)));

/** Sizes of a tensor, outermost first. */
export const outermostFirst = ({ shape }: Pick<GgufTensor, 'shape'>): number[] => [...shape].reverse();

/** Two stacks of experts as one: of each expert all rows of the first, then all of the second. */
export function fused(first: Values, second: Values, experts: number): Values {
  const size = first.length / experts;
  const parts: Values[] = [];
  for (let e = 0; e < experts; e++) {
    parts.push(first.subarray(e * size, (e + 1) * size), second.subarray(e * size, (e + 1) * size));
  }
  return concatenated(parts);
}

/** 0, n, 1, n + 1, …: rows of two matrices in turns. */
export function inTurns(rows: number): number[] {
  return Array.from({ length: 2 * rows }, (_, i) => (i >> 1) + (i & 1) * rows);
}

/** ggml's MXFP4 rows [rows, blocks of 17 bytes] as a checkpoint's bytes of neighbours and their scales. */
export function unpackedMxfp4(raw: Uint8Array): { blocks: Uint8Array<ArrayBuffer>; scales: Uint8Array<ArrayBuffer> } {
  const count = raw.length / 17;
  const blocks = new Uint8Array(count * 16);
  const scales = new Uint8Array(count);
  for (let b = 0; b < count; b++) {
    scales[b] = raw[b * 17];
    const code = (i: number): number => {
      const byte = raw[b * 17 + 1 + (i % 16)];
      return i < 16 ? byte & 15 : byte >> 4;
    };
    for (let i = 0; i < 16; i++) blocks[b * 16 + i] = code(2 * i) + 16 * code(2 * i + 1);
  }
  return { blocks, scales };
}

export const form = (shape: readonly number[], values: StoredForm['values']): StoredForm => ({ shape, values });

/** A GGUF fixture, and the checkpoint that a converter would make it from. */
export interface CheckpointCase {
  readonly fixture: string;
  readonly checkpoint: (fixture: Fixture) => Checkpoint;
  readonly differences?: Differences;
}

export const tensorOf = (fixture: Fixture, name: string) => fixture.gguf.tensors.get(name) as GgufTensor;
export const partner = (fixture: Fixture, name: string) => valuesOf(fixture, tensorOf(fixture, name));
export const upOf = (name: string) => name.replace('gate', 'up');

/** Gate and up projections of a layer's experts, or of its shared one, in one tensor; the up projection by itself is left out. */
export function fusedGateUp(
  fixture: Fixture,
  tensor: GgufTensor,
  name: string,
): Record<string, StoredForm> | undefined {
  if (/ffn_up_(?:exps|shexp)\.weight$/.test(tensor.name)) return {};
  if (!/ffn_gate_(?:exps|shexp)\.weight$/.test(tensor.name)) return undefined;
  const [cols, rows, experts = 1] = tensor.shape;
  const values = fused(valuesOf(fixture, tensor), partner(fixture, upOf(tensor.name)), experts);
  return { [name]: form([...(tensor.shape.length === 3 ? [experts] : []), 2 * rows, cols], values) };
}

/** Experts as transformers 5 keeps them. */
export function stackedExperts(
  fixture: Fixture,
  tensor: GgufTensor,
  layer: string,
): Record<string, StoredForm> | undefined {
  const experts = `model.layers.${layer}.mlp.experts`;
  if (/ffn_down_exps/.test(tensor.name)) {
    return { [`${experts}.down_proj`]: form(outermostFirst(tensor), valuesOf(fixture, tensor)) };
  }
  return /_exps/.test(tensor.name) ? fusedGateUp(fixture, tensor, `${experts}.gate_up_proj`) : undefined;
}

export async function readModelFixture(name: string): Promise<Fixture> {
  return await readFixture(`tests/fixtures/models/${name}.gguf`);
}
