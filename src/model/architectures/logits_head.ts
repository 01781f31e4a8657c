import type { OpCall } from '../../ops/calls';
import type { Activation, Vector, Weight } from '../../ops/op';
import type { Norm, PlanContext } from './plan_context';

/** logits = softcap · tanh(scale · (W·norm(x) + bias) / softcap), or without the cap. */
export interface LogitsHead {
  readonly norm?: Norm;
  readonly weight: Weight;
  readonly bias?: Vector;
  readonly scale?: number;
  readonly softcap?: number;
}

/** logits = head(x): of the residual stream, or of sampled rows of it as they were after an early layer. */
export function headCalls(head: LogitsHead, x: Activation, logits: Activation, context: PlanContext): OpCall[] {
  const { norm, weight, bias, scale, softcap } = head;
  // The rows that are sampled are few: an RMS norm folds in whatever the size of the step.
  const folds = norm === undefined || norm.kind === 'rms';
  const { calls, input } = folds ? { calls: [], input: { x, norm } } : context.materialised(norm, 'normed', x);
  return [...calls, ...context.linear(input, [{ weight, column: 0, bias }], logits, { scale, softcap })];
}
