import { InternalError } from '../../errors';
import { keptAs } from '../activation_store';
import type { ExpertGroups, ExpertLinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget } from '../op';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { tileBound } from './groups';
import { cutsExperts, EPILOGUES, expertTraffic, shapeOf } from './shapes';
import { expertGemmTuning, TILE_OUTS } from './tuning';

/** The compute-bound kernel: tiles of pairs of one expert each. One dispatch for each part of the weight. */
export function groupedDispatches(
  call: ExpertLinearCall,
  groups: ExpertGroups,
  target: KernelTarget,
): readonly Dispatch[] {
  const { x, weight, experts, bias, out, epilogue } = call;
  const { topK, outRows, width, slotX } = shapeOf(call);
  if (epilogue !== 'none' && cutsExperts(call, target)) {
    throw new InternalError(`expert_linear: experts of "${weight.name}" lie in two parts and cannot be gated`);
  }
  const { tileRows: listRows, pairsAt, state } = groups;
  const { tileRows, rowsPerLane, kStep, tileType } = expertGemmTuning(call, target);
  return target.weightParts(weight).map((part, index): Dispatch => {
    const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
    return {
      label: `expert gemm ${weight.format} ${weight.cols}→${width}${epilogue === 'none' ? '' : ` ${epilogue}`} ${tileRows}×${TILE_OUTS}×${kStep} ${rowsPerLane} rows a lane ${tileType}`,
      source: {
        entry: 'ops/expert_gemm.wgsl',
        swaps: { ...quantSwap(weight.format), ...keptAs(out.type) },
        aliases: { Act: x.type, Out: out.type, Tile: tileType },
        constants: {
          LIST_ROWS: listRows,
          TILE_ROWS: tileRows,
          ROWS_PER_LANE: rowsPerLane,
          STEP_QUADS: kStep / 4,
          BIAS: bias !== undefined,
          SLOT_X: slotX,
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
          PAIRS: pairsAt,
        },
      },
      bindings: [
        { kind: 'state', state, access: 'read' },
        { kind: 'activation', tensor: x, access: 'read' },
        { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
        scales,
        bias ? { kind: 'vector', tensor: bias } : scales,
        { kind: 'activation', tensor: out, access: 'write' },
      ],
      // How many tiles there are is known on the GPU alone; the others end at once.
      workgroups: (step) => [
        Math.ceil(outRows / TILE_OUTS),
        tileBound(step.rows * topK, experts, listRows) * (listRows / tileRows),
        1,
      ],
      traffic: (step) => {
        const pairs = step.rows * topK;
        // The least that so many pairs can read: every expert once, or every full tile.
        return expertTraffic(call, part, step.rows, Math.max(Math.min(experts, pairs), Math.ceil(pairs / tileRows)));
      },
    };
  });
}
