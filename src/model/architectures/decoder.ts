/**
 * A decoder described by data: an embedding, layers of residual branches, an output head (Vaswani et al. 2017; Xiong et al. 2020 for
 * norms before the branches). What a branch computes is a function that writes its calls: attention and feed-forward networks are in
 * branches.ts, other mixers (experts, recurrent layers) are further functions of the same form.
 */
import { InternalError } from '../../errors';
import type { OpCall, PoolCall } from '../../ops/calls';
import type { Activation, KvCache, Vector, Weight } from '../../ops/op';
import { MAX_DOLA_LAYERS } from '../../ops/step_layout';
import type { ModelSpec } from '../model_spec';
import { dolaCalls, exitCall } from './early_exits';
import { headCalls, type LogitsHead } from './logits_head';
import {
  type BranchInput,
  type BranchOutput,
  type LayerNorm,
  type Norm,
  PlanContext,
  type RmsNorm,
} from './plan_context';

/** Writes the calls of what stands between a norm and the residual stream. */
export type Branch = (input: BranchInput, output: BranchOutput, context: PlanContext) => readonly OpCall[];

/** x += scale · postNorm(branch(norm(x))), then x = outScale · x, or x = streamNorm(x), as the first transformers had it. */
export interface ResidualBranch {
  readonly norm?: Norm;
  readonly branch: Branch;
  readonly postNorm?: RmsNorm;
  /** Absent: 1. */
  readonly scale?: number;
  /** One value; goes with a postNorm. */
  readonly outScale?: Vector;
  readonly streamNorm?: LayerNorm;
}

/** Branches that read the residual stream at the same time, before any of them adds to it; mostly there is one. */
export type Stage = readonly ResidualBranch[];

/** A vector of each sequence: its normalised rows pooled, then matmuls one after another. */
export interface PoolHead {
  readonly norm?: Norm;
  readonly pool: Exclude<PoolCall['kind'], 'row'>;
  readonly dense: readonly Weight[];
}

export interface Decoder {
  readonly architecture: string;
  readonly trainedContextLength: number;
  readonly embedding: {
    readonly table: Weight;
    readonly scale: number;
    /** Learned positions, added: [contextLength, hiddenSize] values at least. */
    readonly positions?: Vector;
    readonly norm?: LayerNorm;
    /** What else is made from the tokens before the first layer. */
    readonly more?: (context: PlanContext) => readonly OpCall[];
  };
  /** Each layer is a list of stages: attention then feed-forward, or both in one stage (parallel blocks). */
  readonly layers: readonly (readonly Stage[])[];
  readonly head: LogitsHead | PoolHead;
  readonly caches: readonly KvCache[];
  /** Layers keep a state that cannot be cut back or shared. */
  readonly recurrent?: boolean;
}

/** The model's spec: what to load, and its plan for any row bucket. */
export function decoderSpec(decoder: Decoder, sources: Pick<ModelSpec, 'weights' | 'vectors'>): ModelSpec {
  const { table } = decoder.embedding;
  return {
    architecture: decoder.architecture,
    vocabSize: table.rows,
    embeddingSize: 'pool' in decoder.head ? (decoder.head.dense.at(-1)?.rows ?? table.cols) : undefined,
    hiddenSize: table.cols,
    recurrent: decoder.recurrent ?? false,
    numLayers: decoder.layers.length,
    hidden: hiddenOf(decoder),
    earlyExits: exitsOf(decoder),
    trainedContextLength: decoder.trainedContextLength,
    weights: sources.weights,
    vectors: sources.vectors,
    caches: decoder.caches,
    plan: (bucket, options) => plan(decoder, new PlanContext(table.cols, bucket, options)),
  };
}

function exitsOf({ layers, head, embedding }: Decoder): ModelSpec['earlyExits'] {
  if ('pool' in head || layers.length > MAX_DOLA_LAYERS) return undefined;
  return { numLayers: layers.length, tiedEmbeddings: head.weight.name === embedding.table.name };
}

/** What comes out of the last layer, normalised as the head reads it; the residual stream itself where the head has no norm. */
function hiddenOf({ head, embedding: { table } }: Decoder): Activation | undefined {
  if ('pool' in head) return undefined;
  return { name: head.norm ? 'hidden' : 'x', cols: table.cols, rows: 'step', type: 'f32' };
}

function plan(decoder: Decoder, context: PlanContext): OpCall[] {
  const { embedding, layers, head } = decoder;
  const exits = exitsOf(decoder);
  const { x, options } = context;
  const { table, scale, positions } = embedding;
  const { lastTokens, samples, counts, bias, past, mu } = options.states;
  const body: OpCall[] = [
    { op: 'embed', table, lastTokens, out: x, scale, positions },
    ...(embedding.norm ? [context.norm(x, embedding.norm, x)] : []),
    ...(embedding.more?.(context) ?? []),
    ...layers.flatMap((stages, layer) => [
      ...(exits ? [exitCall(layer, context)] : []),
      ...stages.flatMap((stage) => stageCalls(stage, context)),
    ]),
  ];
  if ('pool' in head) return [...body, ...poolCalls(head, context)];
  const logits: Activation = { name: 'logits', cols: head.weight.rows, rows: 'sampled', type: 'f32' };
  return [
    ...body,
    ...hiddenCalls(head, hiddenOf(decoder), context),
    ...headCalls(head, x, logits, context),
    { op: 'guide_logits', logits, when: 'guidance' },
    ...(exits ? dolaCalls(head, exits.numLayers, logits, context) : []),
    { op: 'mask_logits', logits, when: 'masks' },
    { op: 'argmax', logits, lastTokens, samples },
    { op: 'sample_chain', logits, counts, bias, past, mu, samples, when: 'sampler_chain' },
    { op: 'sample', logits, lastTokens, counts, bias, past, mu, samples },
  ];
}

function hiddenCalls({ norm }: LogitsHead, hidden: Activation | undefined, context: PlanContext): OpCall[] {
  return norm && hidden ? [{ ...context.norm(context.x, norm, hidden), when: 'hidden' }] : [];
}

/** Ends in the activation `logits`, which is where runners look for what a sampled row gives. */
function poolCalls({ norm, pool, dense }: PoolHead, context: PlanContext): OpCall[] {
  const { x } = context;
  const vector = (name: string, cols: number): Activation => ({ name, cols, rows: 'sampled', type: 'f32' });
  const normed = norm && context.step('normed', x.cols, 'f32');
  const outputs = [x.cols, ...dense.map(({ rows }) => rows)].map((cols, i) =>
    vector(i === dense.length ? 'logits' : `pooled${i}`, cols),
  );
  return [
    ...(norm && normed ? [context.norm(x, norm, normed)] : []),
    { op: 'pool', x: normed ?? x, out: outputs[0], kind: pool },
    ...dense.flatMap((weight, i) => context.linear({ x: outputs[i] }, [{ weight, column: 0 }], outputs[i + 1])),
  ];
}

function stageCalls(stage: Stage, context: PlanContext): OpCall[] {
  if (stage.length === 1) {
    const { calls, input } = context.input(stage[0].norm);
    return [...calls, ...branchCalls(stage[0], input, context)];
  }
  // The norms come first: when the first branch has added its result, the stream is no longer what the others must read.
  const inputs = new Map<string, ReturnType<PlanContext['materialised']>>();
  const normed = stage.map(({ norm }) => {
    if (!norm) throw new InternalError('a branch beside another needs a norm of its own');
    const known = inputs.get(norm.weight.name);
    const made = known ?? context.materialised(norm, inputs.size === 0 ? 'normed' : `normed${inputs.size}`);
    inputs.set(norm.weight.name, made);
    return made.input;
  });
  return [
    ...[...inputs.values()].flatMap(({ calls }) => calls),
    ...stage.flatMap((branch, i) => branchCalls(branch, normed[i], context)),
  ];
}

function branchCalls(residual: ResidualBranch, input: BranchInput, context: PlanContext): OpCall[] {
  const { branch, postNorm, scale, outScale, streamNorm } = residual;
  if (outScale && !postNorm) throw new InternalError('the scale of the stream goes with the norm of a branch');
  const { x } = context;
  const after = streamNorm ? [context.norm(x, streamNorm, x)] : [];
  if (!postNorm) return [...branch(input, { out: x, accumulate: true, scale }, context), ...after];
  const y = context.step('branch', x.cols, 'f32');
  const { weight, eps } = postNorm;
  return [
    ...branch(input, { out: y, accumulate: false }, context),
    { op: 'rms_norm', x: y, weight, out: x, eps, accumulate: true, scale, outScale },
    ...after,
  ];
}
