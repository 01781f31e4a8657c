/** Predictions from what comes out of a model's first layers, for steps that contrast them with the last one's (ops/dola.ts). */
import type { OpCall } from '../../ops/calls';
import type { Activation } from '../../ops/op';
import { headCalls, type LogitsHead } from './logits_head';
import type { PlanContext } from './plan_context';

/** Tokens less likely than this share of the likeliest are not chosen (Chuang et al. 2024; Li et al. 2023). */
const RELATIVE_TOP = 0.1;

function exitOf(layer: number, { x }: PlanContext): Activation {
  return { name: `exit${layer}`, cols: x.cols, rows: 'sampled', type: 'f32' };
}

/** Keeps the sampled rows of the residual stream as they are before layer `layer`. */
export function exitCall(layer: number, context: PlanContext): OpCall {
  return { op: 'pool', kind: 'row', x: context.x, out: exitOf(layer, context), when: `dola:${layer}` };
}

/** From what `exitCall` kept and the last layer's logits to those of the contrast. */
export function dolaCalls(head: LogitsHead, numLayers: number, logits: Activation, context: PlanContext): OpCall[] {
  const early: Activation = { ...logits, name: 'early_logits' };
  const base: Activation = { ...logits, name: 'dola_base' };
  const divergence: Activation = { ...logits, name: 'dola_divergence', cols: 1 };
  const ofLayer = (layer: number): OpCall[] => [
    ...headCalls(head, exitOf(layer, context), early, context),
    { op: 'dola_select', logits, early, base, divergence, layer },
  ];
  return [
    ...Array.from({ length: numLayers }, (_, layer) =>
      ofLayer(layer).map((call): OpCall => ({ ...call, when: `dola:${layer}` })),
    ).flat(),
    { op: 'dola_contrast', logits, base, relativeTop: RELATIVE_TOP, when: 'dola' },
  ];
}
