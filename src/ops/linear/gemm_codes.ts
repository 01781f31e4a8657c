/** x of a GEMM by 4×8-bit dot products: two signed bytes a value, made once for all of its workgroups. */
import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget } from '../op';
import { elementBytes } from '../shape_check';
import type { StepShape } from '../step_layout';
import { blocksPerRow, laneColumns } from '../weights/layout';

const CODE_LANES = 64;

/** Bytes of a row's codes, [pair of quads] of 16 bytes, and of its scales, [vector] of 8 bytes. */
function rowBytesOf({ weight }: LinearCall): { codes: number; scales: number } {
  const cols = blocksPerRow(weight.cols) * 32;
  return { codes: cols * 2, scales: (cols / laneColumns(weight.format)) * 8 };
}

/** Whether a device binds the codes of so many rows at once. */
export function codesFit(call: LinearCall, rows: number, { limits }: Capabilities): boolean {
  return rows * rowBytesOf(call).codes <= limits.maxStorageBufferBindingSize;
}

/** x as codes in the steps of a row tile. */
export interface GemmCodes {
  readonly codes: Extract<Binding, { kind: 'scratch' }>;
  readonly scales: Extract<Binding, { kind: 'scratch' }>;
  readonly rowBytes: number;
}

/** Room for `rows` rows. Throws InternalError where the device cannot bind them. */
export function gemmCodes(call: LinearCall, target: KernelTarget, rows: number): GemmCodes {
  if (!codesFit(call, rows, target.capabilities)) {
    throw new InternalError(`linear: "${call.weight.name}": codes of ${rows} rows are more than the device binds`);
  }
  const { codes, scales } = rowBytesOf(call);
  return {
    codes: { kind: 'scratch', name: 'linear.codes', bytes: rows * codes, access: 'read' },
    scales: { kind: 'scratch', name: 'linear.code_scales', bytes: rows * scales, access: 'read' },
    rowBytes: codes + scales,
  };
}

/** Turns the rows of x that a step runs into codes, sampled rows looked up. */
export function codesDispatch(
  call: LinearCall,
  { codes, scales, rowBytes }: GemmCodes,
  rowsToRun: (step: StepShape) => number,
): Dispatch {
  const { x, out, weight } = call;
  const blocks = blocksPerRow(weight.cols);
  const vector = laneColumns(weight.format);
  return {
    label: `gemm codes ${x.cols} by ${vector} ${x.type}`,
    source: {
      entry: 'ops/linear_gemm_codes.wgsl',
      aliases: { Act: x.type },
      constants: {
        SAMPLED: out.rows === 'sampled',
        GATHER: out.rows === 'sampled' && x.rows === 'step',
        VEC_QUADS: vector / 4,
      },
      overrides: { COLS: weight.cols, BLOCKS: blocks },
    },
    bindings: [
      { kind: 'step' },
      { kind: 'activation', tensor: x, access: 'read' },
      { ...codes, access: 'write' },
      { ...scales, access: 'write' },
    ],
    workgroups: (step) => [Math.ceil((blocks * 32) / vector / CODE_LANES), rowsToRun(step), 1],
    traffic: (step) => rowsToRun(step) * (x.cols * elementBytes(x.type) + rowBytes),
  };
}
