import { PENDING_TOKEN } from '../engine/runner';
import { InternalError } from '../errors';
import type { EmbedCall } from './calls';
import type { Op } from './op';
import { elementBytes, expectShape } from './shape_check';
import { blocksPerRow, planeBytes, quantSwap } from './weights/layout';

const LANES = 64;

export const embedOp: Op<EmbedCall> = {
  name: 'embed',

  check({ table, out, positions }) {
    expectShape('embed', `columns of "${out.name}"`, out.cols, table.cols);
    expectShape('embed', `columns of "${out.name}" modulo 4`, out.cols % 4, 0);
    expectShape('embed', `rows of "${out.name}"`, out.rows, 'step');
    if (positions) expectShape('embed', `length of "${positions.name}" modulo columns`, positions.length % out.cols, 0);
  },

  reference(call, env) {
    const { table, out, scale } = call;
    const target = env.activation(out);
    const lastTokens = env.state(call.lastTokens);
    const positions = call.positions && env.vector(call.positions);
    const { rows, segments } = env.batch;
    for (const [r, row] of rows.entries()) {
      const token = row.token === PENDING_TOKEN ? lastTokens[segments[row.segment].slot] : row.token;
      if (token >= table.rows) throw new InternalError(`embed: token ${token}, the table has ${table.rows} rows`);
      const values = env.weightRow(table, token);
      const at = positions?.length === out.cols ? 0 : row.position * out.cols;
      if (positions && at >= positions.length) throw new InternalError(`embed: no learned position ${row.position}`);
      for (let i = 0; i < out.cols; i++) {
        target[r * out.cols + i] = values[i] * scale + (positions ? positions[at + i] : 0);
      }
    }
  },

  dispatches({ table, lastTokens, out, scale, positions }, target) {
    const perRow = planeBytes(table.format, 1, table.cols);
    return target.weightParts(table).map((part, index) => ({
      label: `embed ${table.format} ${table.cols}${positions ? ' positions' : ''}`,
      source: {
        entry: 'ops/embed.wgsl',
        swaps: quantSwap(table.format),
        aliases: { Out: out.type },
        constants: { POSITIONS: positions !== undefined },
        overrides: {
          COLS: out.cols,
          BLOCKS: blocksPerRow(table.cols),
          VOCAB: table.rows,
          FIRST_ROW: part.firstRow,
          PART_ROWS: part.rows,
          SCALE: scale,
          LAST_POSITION: positions ? positions.length / out.cols - 1 : 0,
        },
      },
      bindings: [
        { kind: 'step' },
        { kind: 'state', state: lastTokens, access: 'read' },
        { kind: 'weight', tensor: table, part: index, plane: 'quants' },
        { kind: 'weight', tensor: table, part: index, plane: 'scales' },
        // A binding that the variant does not read still has to be something.
        positions
          ? { kind: 'vector', tensor: positions }
          : { kind: 'weight', tensor: table, part: index, plane: 'scales' },
        { kind: 'activation', tensor: out, access: 'write' },
      ],
      workgroups: (step) => [Math.ceil(out.cols / 4 / LANES), step.rows, 1],
      traffic: (step) =>
        step.rows * (perRow.quants + perRow.scales + out.cols * (elementBytes(out.type) + (positions ? 4 : 0))),
    }));
  },
};
