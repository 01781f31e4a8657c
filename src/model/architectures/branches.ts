/** The branches that most decoders are made of: attention, and gated or plain feed-forward networks. */
import type { ActivationFunction, AttentionCall, QkNorm } from '../../ops/calls';
import type { KvCache, Vector } from '../../ops/op';
import type { Branch } from './decoder';
import { outputsOf, type Projection } from './projection';
import type { Rope } from './rope';

export interface Attention {
  /** Q, K and V heads side by side. */
  readonly qkv: Projection;
  readonly output: Projection;
  readonly cache: KvCache;
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
  const { cache, numHeads, rope, norm, scale, window, mask, softcap, sinks } = attention;
  return (input, output, context) => {
    const qkv = context.step('qkv', (numHeads + 2 * cache.numKvHeads) * cache.headDim);
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

/** down · (act(gate · x) * (up · x)) (Shazeer 2020). */
export function gatedFfnBranch({ gateUp, down, activation }: GatedFfn): Branch {
  const size = outputsOf(gateUp) / 2;
  return (input, output, context) => {
    const hidden = context.step('hidden', size);
    const foldable = context.small && gateUp.length === 1 && gateUp[0].bias === undefined;
    if (foldable) {
      const epilogue = activation === 'silu' ? 'swiglu' : 'geglu';
      return [...context.linear(input, gateUp, hidden, { epilogue }), ...context.finish(hidden, down, output)];
    }
    const both = context.step('gate_up', 2 * size);
    return [
      ...context.linear(input, gateUp, both),
      { op: 'glu', x: both, out: hidden, activation },
      ...context.finish(hidden, down, output),
    ];
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
