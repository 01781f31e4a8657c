import { InternalError } from '../../errors';
import { keptAs } from '../activation_store';
import type { ExpertLinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget, WeightPart } from '../op';
import { blocksPerRow, laneColumns, quantSwap } from '../weights/layout';
import { cutsExperts, EPILOGUES, expertTraffic, shapeOf } from './shapes';

const COLUMNS_PER_SWEEP = 256;
/** Invocations that share the output rows of one slot. */
const BLOCK = 64;

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
  const lanes = COLUMNS_PER_SWEEP / laneColumns(weight.format);
  const outsPerLane = weight.rows / call.experts >= 2048 ? 4 : 2;
  const groups = Math.ceil(width / ((BLOCK / lanes) * (epilogue === 'none' ? outsPerLane : outsPerLane / 2)));
  const groupsX = Math.min(groups, target.capabilities.limits.maxComputeWorkgroupsPerDimension);
  const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
  return {
    label: `expert gemv ${weight.format} ${weight.cols}→${width}${epilogue === 'none' ? '' : ` ${epilogue}`}${combine ? ' combine' : ''}`,
    source: {
      entry: 'ops/expert_gemv.wgsl',
      swaps: {
        ...quantSwap(weight.format),
        ...keptAs(out.type),
        ...(target.capabilities.subgroups ? { 'lib/reduce_workgroup.wgsl': 'lib/reduce_subgroup.wgsl' } : {}),
      },
      aliases: { Act: x.type, Out: out.type },
      constants: {
        OUTS: outsPerLane,
        // One slot after another would leave a large GPU idle: a row has few workgroups.
        SPLIT: combine ? (topK >= 4 ? 4 : topK >= 2 ? 2 : 1) : 1,
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
