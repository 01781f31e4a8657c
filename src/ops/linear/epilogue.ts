import type { KernelSource } from '../../gpu/kernel';
import { keptAs } from '../activation_store';
import type { LinearCall } from '../calls';
import type { WeightPart } from '../op';

/** Two rows of the weight make one column of the result. */
export function isGated(call: LinearCall): boolean {
  return call.epilogue !== 'none';
}

/** What shaders/lib/linear_store.wgsl takes to finish the values of a part of the weight. */
export function storeVariant(
  call: LinearCall,
  part: WeightPart,
): Required<Pick<KernelSource, 'swaps' | 'constants' | 'overrides' | 'aliases'>> {
  return {
    swaps: keptAs(call.out.type),
    aliases: { Out: call.out.type },
    constants: {
      BIAS: call.bias !== undefined,
      ACCUMULATE: call.accumulate,
      GLU: isGated(call),
      GELU: call.epilogue === 'geglu',
    },
    overrides: {
      FIRST_ROW: part.firstRow,
      OUT_COLS: call.out.cols,
      OUT_COLUMN: call.outColumn + part.firstRow,
      SCALE: call.scale ?? 1,
      SOFTCAP: call.softcap ?? 0,
    },
  };
}

const GELU_FACTOR = Math.sqrt(2 / Math.PI);

/** The gate's activation (f64): SiLU, or GELU by its tanh approximation. */
export function gateActivation(epilogue: 'swiglu' | 'geglu', gate: number): number {
  if (epilogue === 'swiglu') return gate / (1 + Math.exp(-gate));
  return 0.5 * gate * (1 + Math.tanh(GELU_FACTOR * (gate + 0.044715 * gate ** 3)));
}
