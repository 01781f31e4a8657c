import { GREEDY } from '../../src/engine/runner';
import type { ByteSource } from '../../src/formats/byte_source';
import { decodeRow } from '../../src/formats/dequantize';
import type { Gguf } from '../../src/formats/gguf/gguf';
import { layOut, plansOf } from '../../src/model/layout';
import { prepareReference } from '../../src/model/prepare_reference';
import { describeStep } from '../../src/model/step_encoder';
import { openFixture } from './plan_logits';

/** What a fixture computes on the way, by hand from the residual stream on: nothing here asks the engine or an op for logits. */
export interface PlainModel {
  /** Of the last token, the residual stream before the first layer, then after each: [numLayers + 1][hiddenSize]. */
  readonly streams: (tokens: readonly number[]) => Float32Array[];
  /** The last layer's output of every token, normalised. */
  readonly hidden: (tokens: readonly number[]) => number[][];
  /** Natural logarithms of the probabilities of the next token, from a residual stream. */
  readonly predict: (stream: Float32Array) => number[];
}

async function tensor({ tensors }: Gguf, source: ByteSource, name: string): Promise<Float32Array | undefined> {
  const found = tensors.get(name);
  if (!found) return undefined;
  const bytes = await source.read(found.offset, found.byteLength);
  const count = found.shape.reduce((a, b) => a * b, 1);
  return decodeRow(found.type.toLowerCase() as 'f32', bytes, count);
}

/** A fixture of sequential attention and feed-forward branches, whose prompts fit into one page. */
export async function plainModel(name: string): Promise<PlainModel> {
  const { source, gguf } = await openFixture(name);
  const layout = layOut(gguf, { backend: 'reference', contextLength: 32, maxSampledRows: 32 }, undefined);
  const executor = await prepareReference(gguf, source, layout, {});
  const [{ calls }] = plansOf(layout);
  const norm = await tensor(gguf, source, 'output_norm.weight');
  const bias = await tensor(gguf, source, 'output_norm.bias');
  const matrix = (await tensor(gguf, source, 'output.weight')) ?? (await tensor(gguf, source, 'token_embd.weight'));
  if (!norm || !matrix) throw new Error(`${name} has no head that is known here`);
  const { hiddenSize } = layout.spec;

  const normalised = (stream: Float32Array): number[] => {
    const x = [...stream];
    const mean = bias ? x.reduce((a, b) => a + b, 0) / hiddenSize : 0;
    const square = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / hiddenSize;
    return x.map((value, i) => ((value - mean) / Math.sqrt(square + 1e-5)) * norm[i] + (bias?.[i] ?? 0));
  };
  const run = (tokens: readonly number[]): Float32Array[] => {
    const page = Array.from({ length: Math.ceil(tokens.length / layout.limits.pageSize) }, (_, i) => i);
    const step = describeStep({
      segments: [{ slot: 0, tokens, position: 0, pages: page, sample: 'last', sampling: GREEDY }],
    });
    const found: Float32Array[] = [];
    let branches = 0;
    executor.run(calls, step, (call) => {
      if (!('out' in call) || call.out.name !== 'x') return;
      // A layer adds to the stream twice.
      if (call.op === 'embed' || branches++ % 2 === 1) found.push(executor.activation(call.out, step).slice());
    });
    return found;
  };
  return {
    streams: (tokens) => run(tokens).map((stream) => stream.slice((tokens.length - 1) * hiddenSize)),
    hidden: (tokens) => {
      const last = run(tokens).at(-1) as Float32Array;
      return tokens.map((_, i) => normalised(last.slice(i * hiddenSize, (i + 1) * hiddenSize)));
    },
    predict: (stream) => {
      const x = normalised(stream);
      const logits = Array.from({ length: matrix.length / hiddenSize }, (_, token) =>
        x.reduce((sum, value, i) => sum + value * matrix[token * hiddenSize + i], 0),
      );
      const max = Math.max(...logits);
      const logSum = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
      return logits.map((logit) => logit - logSum);
    },
  };
}
