import { wholeBlocks } from '../../formats/row_bytes';
import { WEIGHT_FORMATS, type WeightFormat } from '../../formats/weight_format';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import { ACTIVATION_TYPES, type Activation, type ActivationType, type OpCase } from '../op';
import { distinctGemms, gemmRowTiles, gemmTunings, isGemm } from './gemm_space';
import { GEMV_ROW_TILES, gemvOrders, type LinearRowTile, linearTunings } from './tuning';
import { linearTuningCase, TRIED_ROWS } from './variant_cases';

/** Wide enough for every splitK, and where the format allows it not in whole sweeps; a tile of outputs and a bit, also on matrix units. */
const COLS = 2080;
const OUTS = 74;
const OUTS_ON_MATRIX_UNITS = 132;

function spaceCall(format: WeightFormat, type: ActivationType, outs: number, fused: boolean): LinearCall {
  const cols = wholeBlocks(format, COLS);
  const activation = (name: string, width: number): Activation => ({ name, cols: width, rows: 'step', type });
  return {
    op: 'linear',
    x: activation('x', cols),
    weight: { name: 'w', format, rows: outs, cols },
    out: activation('out', fused ? outs / 2 : outs),
    outColumn: 0,
    norm: fused ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
    accumulate: !fused,
    epilogue: fused ? 'swiglu' : 'none',
  };
}

/**
 * One case for every tuning that a device's linear kernels can run with: every weight format and type of activations, added to what is
 * there and, for up to 16 rows, with norm and gated unit.
 */
export function linearSpaceCases(
  capabilities: Capabilities,
  seed: number,
  tiles: readonly LinearRowTile[] = [...GEMV_ROW_TILES, ...gemmRowTiles(capabilities)],
): readonly OpCase<LinearCall>[] {
  const types = ACTIVATION_TYPES.filter((type) => type === 'f32' || capabilities.f16);
  const outs = capabilities.subgroupMatrix ? OUTS_ON_MATRIX_UNITS : OUTS;
  return WEIGHT_FORMATS.flatMap((format) =>
    types.flatMap((type) =>
      [false, true].flatMap((fused) => {
        const call = spaceCall(format, type, outs, fused);
        // Norms and gated units are calls of their own in large steps.
        return tiles
          .filter((tile) => !(fused && isGemm(tile)))
          .flatMap((tile) =>
            tuningsOf(call, tile, capabilities).map((tuning) => linearTuningCase(call, tile, tuning, seed)),
          );
      }),
    ),
  );
}

function tuningsOf(call: LinearCall, tile: LinearRowTile, capabilities: Capabilities) {
  if (isGemm(tile)) return distinctGemms(call, gemmTunings(call, capabilities), TRIED_ROWS[tile], 0);
  return gemvOrders(call, capabilities).flatMap((order) => linearTunings(call, tile, capabilities, order));
}
