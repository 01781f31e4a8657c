import type { ExpertLinearCall } from '../calls';
import type { KernelTarget, WeightPart } from '../op';
import { elementBytes } from '../shape_check';
import { planeBytes } from '../weights/layout';
import { topKOf } from './route';

/** The numbers that both kernels of a call go by. */
export interface ExpertShape {
  readonly topK: number;
  /** Rows of one expert's matrix. */
  readonly outRows: number;
  /** Columns that one slot writes. */
  readonly width: number;
  /** x has a row for each slot. */
  readonly slotX: boolean;
}

export function shapeOf({ x, weight, experts, routing, epilogue }: ExpertLinearCall): ExpertShape {
  const outRows = weight.rows / experts;
  return {
    topK: topKOf(routing),
    outRows,
    width: epilogue === 'none' ? outRows : outRows / 2,
    slotX: x.cols !== weight.cols,
  };
}

/** A constant of the shaders: lib/expert_epilogue.wgsl. */
export const EPILOGUES: Readonly<Record<ExpertLinearCall['epilogue'], number>> = {
  none: 0,
  swiglu: 1,
  swiglu_clamped: 2,
  geglu: 3,
};

/** True when gate and up rows of an expert lie in different parts of the weight, which no epilogue can work with. */
export function cutsExperts(call: ExpertLinearCall, target: KernelTarget): boolean {
  const { outRows } = shapeOf(call);
  return target.weightParts(call.weight).some((part) => part.firstRow % outRows !== 0 || part.rows % outRows !== 0);
}

/**
 * Bytes of a dispatch over one part, when `matrices` matrices of experts are read in the whole weight. Which experts a step chooses is
 * known on the GPU alone: each part is taken to hold its share of them.
 */
export function expertTraffic(call: ExpertLinearCall, part: WeightPart, rows: number, matrices: number): number {
  const { weight, x, out, bias, norm } = call;
  const { topK, outRows, width } = shapeOf(call);
  const planes = planeBytes(weight.format, outRows, weight.cols);
  const share = part.rows / weight.rows;
  const written = (call.combine ? (call.accumulate || part.firstRow > 0 ? 2 : 1) * width : topK * width * share) * rows;
  return (
    share * matrices * (planes.quants + planes.scales + (bias ? outRows * 4 : 0)) +
    rows * x.cols * elementBytes(x.type) +
    written * elementBytes(out.type) +
    rows * topK * 8 +
    (norm ? x.cols * 4 : 0)
  );
}
