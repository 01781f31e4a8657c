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
 * fused weight where the storage types agree and it fits `maxBytes`. Where types differ (Q4_K_M files keep many layers' values in Q6_K)
 * neighbours of one type make a weight; one that would be too large is left in pieces.
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
  const agree = formats.every((format) => format === formats[0]);
  const groups: number[][] = [];
  for (const [i, format] of formats.entries()) {
    const last = groups.at(-1);
    if (last && !agree && formats[last[0]] === format) last.push(i);
    else groups.push([i]);
  }
  let column = 0;
  return groups.map((group) => {
    const members = group.map((i) => parts[i]);
    const label = members.map(({ tensor }) => tensor).join(' + ');
    const { weight } = tensors.matrix(
      label,
      group.map((i) => matrices[i]),
      cols,
    );
    const own = { weight, column, bias: readBias(label, members) };
    column += weight.rows;
    return own;
  });
}
