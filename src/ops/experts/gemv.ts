import { InternalError } from '../../errors';
import { keptAs } from '../activation_store';
import type { ExpertLinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget, WeightPart } from '../op';
import { reductionSwap } from '../reduction';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { cutsExperts, EPILOGUES, expertTraffic, shapeOf } from './shapes';
import { expertGemvTuning, expertLanes } from './tuning';

/**
 * The memory-bound kernel: every (row, slot) pair reads its expert's matrix, with `combine` every row those of its experts. One dispatch
 * for each part of the weight; pairs whose expert lies in another part leave it alone.
 */
export function pairwiseDispatches(call: ExpertLinearCall, target: KernelTarget): readonly Dispatch[] {
  if (call.epilogue !== 'none' && cutsExperts(call, target)) {
    throw new InternalError(`expert_linear: experts of "${call.weight.name}" lie in two parts and cannot be gated`);
  }
  return target.weightParts(call.weight).map((part, index) => partDispatch(call, target, part, index));
}

function partDispatch(call: ExpertLinearCall, target: KernelTarget, part: WeightPart, index: number): Dispatch {
  const { x, weight, routing, norm, bias, out, combine, epilogue } = call;
  const { topK, outRows, width, slotX } = shapeOf(call);
  const { block, outputsPerLane, slots, splitK, reduction } = expertGemvTuning(call, target);
  const outputsOfGroup = epilogue === 'none' ? outputsPerLane : outputsPerLane / 2;
  const groups = Math.ceil(width / ((block / expertLanes(call, splitK)) * outputsOfGroup));
  const groupsX = Math.min(groups, target.capabilities.limits.maxComputeWorkgroupsPerDimension);
  const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
  return {
    label: `expert gemv ${weight.format} ${weight.cols}→${width} ${block}×${outputsPerLane}${combine ? ` ${slots} slots` : ''} split ${splitK} ${reduction}${epilogue === 'none' ? '' : ` ${epilogue}`}${combine ? ' combine' : ''}`,
    source: {
      entry: 'ops/expert_gemv.wgsl',
      swaps: { ...quantSwap(weight.format), ...keptAs(out.type), ...reductionSwap(reduction) },
      aliases: { Act: x.type, Out: out.type },
      constants: {
        OUTS: outputsPerLane,
        BLOCK: block,
        SPLIT: slots,
        SPLIT_K: splitK,
        NORM: norm !== undefined,
        BIAS: bias !== undefined,
        SLOT_X: slotX,
        COMBINE: combine,
        // Parts after the first add to what the first one wrote.
        ACCUMULATE: call.accumulate || (combine && index > 0),
        EPILOGUE: EPILOGUES[epilogue],
      },
      overrides: {
        COLS: weight.cols,
        BLOCKS: blocksPerRow(weight.cols),
        TOP_K: topK,
        OUT_ROWS: outRows,
        FIRST_ROW: part.firstRow,
        PART_ROWS: part.rows,
        OUT_COLS: out.cols,
        OUT_COLUMN: call.outColumn,
        EPS: norm?.eps ?? 0,
      },
    },
    bindings: [
      { kind: 'activation', tensor: routing, access: 'read' },
      { kind: 'activation', tensor: x, access: 'read' },
      { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
      scales,
      // A binding that the variant does not read still has to be something.
      norm ? { kind: 'vector', tensor: norm.weight } : scales,
      bias ? { kind: 'vector', tensor: bias } : scales,
      { kind: 'activation', tensor: out, access: 'write' },
    ],
    workgroups: (step) => [groupsX, Math.ceil(groups / groupsX), combine ? step.rows : step.rows * topK],
    traffic: (step) => expertTraffic(call, part, step.rows, step.rows * topK),
  };
}
