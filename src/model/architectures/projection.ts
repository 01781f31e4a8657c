import type { Vector, Weight } from '../../ops/op';
import { planeBytes } from '../../ops/weights/layout';
import type { TensorTable } from '../tensor_table';

/** y = W·x + b whose W is one fused weight, or several that write side by side because their storage types differ. */
export type Projection = readonly { readonly weight: Weight; readonly column: number; readonly bias?: Vector }[];

/** Outputs of a projection: the rows of its weights. */
export function outputsOf(projection: Projection): number {
  return projection.reduce((sum, { weight }) => sum + weight.rows, 0);
}

/**
 * Reads the matrices of `parts` (names without ".weight"), each [rows, cols], and the biases of those that have one. They make one
 * fused weight where the storage types agree and it fits `maxBytes`; otherwise one weight each, side by side.
 */
export function readProjection(
  tensors: TensorTable,
  name: string,
  parts: readonly { readonly tensor: string; readonly rows: number }[],
  cols: number,
  maxBytes = Number.POSITIVE_INFINITY,
): Projection {
  const matrices = parts.map(({ tensor, rows }) => ({ tensor: `${tensor}.weight`, rows }));
  const readBias = (label: string, list: typeof parts): Vector | undefined => {
    // A fused bias needs all of them: one that is missing is an error that names it.
    if (!list.some(({ tensor }) => tensors.has(`${tensor}.bias`))) return undefined;
    return tensors.vector(
      `${label}.bias`,
      list.map(({ tensor, rows }) => ({ tensor: `${tensor}.bias`, length: rows })),
    );
  };
  const formats = matrices.map(({ tensor }) => tensors.formatOf(tensor));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const bytes = planeBytes(formats[0], rows, cols).quants;
  if (parts.length === 1 || (formats.every((format) => format === formats[0]) && bytes <= maxBytes)) {
    return [{ weight: tensors.matrix(name, matrices, cols).weight, column: 0, bias: readBias(name, parts) }];
  }
  let column = 0;
  return parts.map((part, i) => {
    const { weight } = tensors.matrix(part.tensor, [matrices[i]], cols);
    const own = { weight, column, bias: readBias(part.tensor, [part]) };
    column += part.rows;
    return own;
  });
}
