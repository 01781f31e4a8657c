/** Branches in place of attention that keep a state of fixed size, and attention whose output is gated. */
import type { DeltaNetCall, QkNorm } from '../../ops/calls';
import type { KvCache, State, Vector } from '../../ops/op';
import type { Branch } from './decoder';
import type { PlanContext } from './plan_context';
import { outputsOf, type Projection } from './projection';
import type { Rope } from './rope';

/** f32 values that a layer keeps for each slot. */
function slotState(name: string, layer: number, valuesPerSlot: number, context: PlanContext): State {
  const maxSlots = context.options.states.lastTokens.words;
  return { name: `blk.${layer}.${name}`, words: maxSlots * valuesPerSlot };
}

export interface ShortConv {
  readonly layer: number;
  /** B, C and X side by side. */
  readonly input: Projection;
  readonly output: Projection;
  /** [channels][width] */
  readonly weight: Vector;
  readonly width: number;
}

/** output · (C · conv(B · X)) (Liquid AI 2025). */
export function shortConvBranch({ layer, input, output, weight, width }: ShortConv): Branch {
  const channels = weight.length / width;
  return (rows, target, context) => {
    const mixed = context.step('mixed', 3 * channels);
    const convolved = context.step('convolved', channels);
    const state = slotState('shortconv', layer, (width - 1) * channels, context);
    return [
      ...context.linear(rows, input, mixed),
      { op: 'short_conv', x: mixed, weight, width, state, out: convolved, kind: 'gated' },
      ...context.finish(convolved, output, target),
    ];
  };
}

export interface DeltaNet
  extends Pick<DeltaNetCall, 'keyHeads' | 'valueHeads' | 'keyDim' | 'valueDim' | 'heads' | 'eps' | 'parameters'> {
  readonly layer: number;
  /** q, k, v, then z, beta and alpha. */
  readonly input: Projection;
  readonly output: Projection;
  /** [q, k, v channels][width] */
  readonly convolution: Vector;
  readonly width: number;
}

/** Gated delta rule behind a short convolution of q, k and v (Yang, Kautz & Hatamizadeh 2024). */
export function deltaNetBranch({ layer, input, output, convolution, width, ...net }: DeltaNet): Branch {
  const channels = convolution.length / width;
  return (rows, target, context) => {
    // In f32 whatever activations are: the state sums what f16 would round, and a norm follows that brings small sums up.
    const mixed = context.step('mixed', outputsOf(input), 'f32');
    const convolved = context.step('convolved', channels, 'f32');
    const recalled = context.step('recalled', net.valueHeads * net.valueDim);
    const past = slotState('conv_state', layer, (width - 1) * channels, context);
    const state = slotState('delta_state', layer, net.valueHeads * net.keyDim * net.valueDim, context);
    return [
      ...context.linear(rows, input, mixed),
      { op: 'short_conv', x: mixed, weight: convolution, width, state: past, out: convolved, kind: 'silu' },
      { op: 'delta_net', qkv: convolved, gates: mixed, ...net, state, out: recalled },
      ...context.finish(recalled, output, target),
    ];
  };
}

export interface GatedAttention {
  /** Of each head the query, then its gate. */
  readonly queryGate: Projection;
  /** K and V heads; columns as if Q's heads stood before them. */
  readonly keyValue: Projection;
  readonly output: Projection;
  readonly cache: KvCache;
  readonly numHeads: number;
  readonly rope: Rope;
  readonly norm: QkNorm;
}

/** Attention whose heads are multiplied by the sigmoid of gates that are made with the queries (Qiu et al. 2025). */
export function gatedAttentionBranch(attention: GatedAttention): Branch {
  const { queryGate, keyValue, output, cache, numHeads, rope, norm } = attention;
  const { headDim, numKvHeads } = cache;
  return (rows, target, context) => {
    const size = numHeads * headDim;
    const both = context.step('query_gate', 2 * size);
    const qkv = context.step('qkv', size + 2 * numKvHeads * headDim);
    const q = context.step('q', size);
    const attended = context.step('attended', size);
    const gated = context.step('gated', size);
    const heads = { headDim, numHeads } as const;
    return [
      ...context.linear(rows, queryGate, both),
      ...context.linear(rows, keyValue, qkv),
      { op: 'head_gate', x: both, ...heads, out: qkv },
      { op: 'rope_kv', qkv, q, cache, numHeads, norm, table: rope.table, ropeDims: rope.dims, pairing: rope.pairing },
      { op: 'attention', q, cache, out: attended, numHeads, scale: 1 / Math.sqrt(headDim) },
      { op: 'head_gate', x: both, ...heads, out: gated, input: attended },
      ...context.finish(gated, output, target),
    ];
  };
}
