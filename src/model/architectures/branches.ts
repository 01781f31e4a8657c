/** The branches that most decoders are made of: attention, and gated or plain feed-forward networks. */
import { InvalidFileError } from '../../errors';
import type { ActivationFunction, AttentionCall, OpCall, QkNorm } from '../../ops/calls';
import type { Activation, KvCache, Vector } from '../../ops/op';
import type { Branch } from './decoder';
import type { BranchInput, PlanContext } from './plan_context';
import { outputsOf, type Projection } from './projection';
import type { Rope } from './rope';

export interface Attention {
  /** Q, K and V heads side by side. */
  readonly qkv: Projection;
  readonly output: Projection;
  readonly cache: KvCache;
  /** The cache is an earlier layer's, and `qkv` makes queries alone. */
  readonly queriesOnly?: boolean;
  readonly numHeads: number;
  /** Absent: positions play no part. */
  readonly rope?: Rope;
  readonly norm?: QkNorm;
  readonly scale: number;
  readonly window?: number;
  readonly mask?: AttentionCall['mask'];
  readonly softcap?: number;
  readonly sinks?: Vector;
}

/** Multi-head attention with grouped K/V heads (Ainslie et al. 2023) over the paged cache. */
export function attentionBranch(attention: Attention): Branch {
  const { cache, queriesOnly = false, numHeads, rope, norm, scale, window, mask, softcap, sinks } = attention;
  if (rope && rope.dims > cache.headDim) {
    throw new InvalidFileError(`${rope.dims} dimensions rotate in heads of ${cache.headDim} (layer ${cache.layer})`);
  }
  return (input, output, context) => {
    const qkv = context.step('qkv', (numHeads + (queriesOnly ? 0 : 2 * cache.numKvHeads)) * cache.headDim);
    const q = context.step('q', numHeads * cache.headDim);
    const attended = context.step('attended', numHeads * cache.headDim);
    return [
      ...context.linear(input, attention.qkv, qkv),
      {
        op: 'rope_kv',
        qkv,
        q,
        cache,
        numHeads,
        queriesOnly,
        norm,
        table: rope?.table,
        ropeDims: rope?.dims ?? 0,
        pairing: rope?.pairing ?? 'halves',
      },
      { op: 'attention', q, cache, out: attended, numHeads, scale, mask, window, softcap, sinks },
      ...context.finish(attended, attention.output, output),
    ];
  };
}

export interface GatedFfn {
  /** Gate, then up. */
  readonly gateUp: Projection;
  readonly down: Projection;
  readonly activation: 'silu' | 'gelu';
}

/** hidden = act(gate · x) * (up · x), in the matmul where the step is small and one weight holds both. */
export function gatedHidden(
  { gateUp, activation }: GatedFfn,
  input: BranchInput,
  hidden: Activation,
  context: PlanContext,
): OpCall[] {
  const foldable = context.small && gateUp.length === 1 && gateUp[0].bias === undefined;
  if (foldable) return context.linear(input, gateUp, hidden, { epilogue: activation === 'silu' ? 'swiglu' : 'geglu' });
  const both = context.step('gate_up', 2 * hidden.cols);
  return [...context.linear(input, gateUp, both), { op: 'glu', x: both, out: hidden, activation }];
}

/** down · (act(gate · x) * (up · x)) (Shazeer 2020). */
export function gatedFfnBranch(ffn: GatedFfn): Branch {
  return (input, output, context) => {
    const hidden = context.step('hidden', outputsOf(ffn.gateUp) / 2);
    return [...gatedHidden(ffn, input, hidden, context), ...context.finish(hidden, ffn.down, output)];
  };
}

export interface PlainFfn {
  readonly up: Projection;
  readonly down: Projection;
  readonly activation: ActivationFunction;
}

/** down · act(up · x + b) + b (Vaswani et al. 2017). */
export function plainFfnBranch({ up, down, activation }: PlainFfn): Branch {
  const size = outputsOf(up);
  return (input, output, context) => {
    const raised = context.step('raised', size);
    const hidden = context.step('hidden', size);
    return [
      ...context.linear(input, up, raised),
      { op: 'activation', x: raised, out: hidden, kind: activation },
      ...context.finish(hidden, down, output),
    ];
  };
}
