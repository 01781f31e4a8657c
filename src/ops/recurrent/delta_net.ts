import { keptAs } from '../activation_store';
import type { DeltaNetCall } from '../calls';
import { caseBatch } from '../case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from '../op';
import { expectInteger, expectShape, rowBytes } from '../shape_check';

/** A lane for each value dimension; sums over them are made in halves. */
const VALUE_DIMS: readonly number[] = [16, 32, 64, 128, 256];
const MAX_KEY_DIM = 256;

/** What keeps the call's heads from running; undefined when nothing does. */
export function deltaNetFault({ keyDim, valueDim }: Pick<DeltaNetCall, 'keyDim' | 'valueDim'>): string | undefined {
  if (!VALUE_DIMS.includes(valueDim)) return `value heads of ${valueDim} (${VALUE_DIMS.join(', ')} are supported)`;
  if (keyDim > MAX_KEY_DIM) return `key heads of ${keyDim} (up to ${MAX_KEY_DIM} are supported)`;
  return undefined;
}

export const deltaNetOp: Op<DeltaNetCall> = {
  name: 'delta_net',

  check(call) {
    const { qkv, gates, parameters, keyHeads, valueHeads, keyDim, valueDim, state, out } = call;
    expectShape('delta_net', 'what its heads cannot be', deltaNetFault(call) ?? '', '');
    expectInteger('delta_net', 'valueHeads / keyHeads', valueHeads / keyHeads, 1);
    expectShape('delta_net', `columns of "${qkv.name}"`, qkv.cols, 2 * keyHeads * keyDim + valueHeads * valueDim);
    expectInteger('delta_net', `columns of "${gates.name}"`, gates.cols, valueHeads * (valueDim + 2));
    expectShape('delta_net', `length of "${parameters.name}"`, parameters.length, 2 * valueHeads + valueDim);
    expectShape('delta_net', `columns of "${out.name}"`, out.cols, valueHeads * valueDim);
    expectInteger('delta_net', `slots of "${state.name}"`, state.words / (valueHeads * keyDim * valueDim), 1);
    for (const tensor of [qkv, gates, out]) expectShape('delta_net', `rows of "${tensor.name}"`, tensor.rows, 'step');
  },

  reference(call, env) {
    const { keyHeads, valueHeads, keyDim, valueDim, eps } = call;
    const qkv = env.activation(call.qkv);
    const gates = env.activation(call.gates);
    const out = env.activation(call.out);
    const parameters = env.vector(call.parameters);
    const state = new Float32Array(env.state(call.state).buffer);
    const keySize = keyHeads * keyDim;
    const unit = (from: number): Float64Array => {
      const values = Float64Array.from(qkv.subarray(from, from + keyDim));
      const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
      return values.map((value) => value / Math.max(length, eps));
    };
    for (const { slot, firstRow, rowCount, firstPosition } of env.batch.segments) {
      for (let head = 0; head < valueHeads; head++) {
        const keyHead = call.heads === 'tiled' ? head % keyHeads : Math.floor((head * keyHeads) / valueHeads);
        const first = (slot * valueHeads + head) * keyDim * valueDim;
        const s = Float64Array.from(state.subarray(first, first + keyDim * valueDim));
        if (firstPosition === 0) s.fill(0);
        for (let row = firstRow; row < firstRow + rowCount; row++) {
          const start = row * call.qkv.cols;
          const q = unit(start + keyHead * keyDim);
          const k = unit(start + keySize + keyHead * keyDim);
          const firstGate = (row + 1) * call.gates.cols - 2 * valueHeads;
          const shared = valueHeads / keyHeads;
          const tiled = call.heads === 'tiled';
          const gate = firstGate + (tiled ? head : keyHead * 2 * shared + (head % shared));
          const beta = 1 / (1 + Math.exp(-gates[gate]));
          const alpha = gates[gate + (tiled ? valueHeads : shared)] + parameters[valueHeads + head];
          const decay = Math.exp(parameters[head] * (Math.max(alpha, 0) + Math.log1p(Math.exp(-Math.abs(alpha)))));
          const o = new Float64Array(valueDim);
          for (let j = 0; j < valueDim; j++) {
            let predicted = 0;
            for (let i = 0; i < keyDim; i++) predicted += s[i * valueDim + j] * decay * k[i];
            const delta = beta * (qkv[start + 2 * keySize + head * valueDim + j] - predicted);
            for (let i = 0; i < keyDim; i++) {
              s[i * valueDim + j] = s[i * valueDim + j] * decay + k[i] * delta;
              o[j] += (s[i * valueDim + j] * q[i]) / Math.sqrt(keyDim);
            }
          }
          const scale = 1 / Math.sqrt(o.reduce((sum, value) => sum + value * value, 0) / valueDim + eps);
          const z = (row + 1) * call.gates.cols - valueHeads * (valueDim + 2) + head * valueDim;
          for (let j = 0; j < valueDim; j++) {
            const gated = gates[z + j] / (1 + Math.exp(-gates[z + j]));
            out[(row * valueHeads + head) * valueDim + j] = o[j] * scale * parameters[2 * valueHeads + j] * gated;
          }
        }
        state.set(s, first);
      }
    }
  },

  dispatches(call): readonly Dispatch[] {
    const { qkv, gates, parameters, keyHeads, valueHeads, keyDim, valueDim, state, out, eps } = call;
    return [
      {
        label: `delta_net ${keyHeads}/${valueHeads} heads ${keyDim}×${valueDim} ${qkv.type}`,
        source: {
          entry: 'ops/delta_net.wgsl',
          swaps: keptAs(out.type),
          aliases: { ActIn: qkv.type, ActGates: gates.type, ActOut: out.type },
          constants: { LANES: valueDim, KEY_DIM: keyDim, TILED: call.heads === 'tiled' },
          overrides: { KEY_HEADS: keyHeads, VALUE_HEADS: valueHeads, GATE_COLS: gates.cols, EPS: eps },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: qkv, access: 'read' },
          { kind: 'activation', tensor: gates, access: 'read' },
          { kind: 'vector', tensor: parameters },
          { kind: 'state', state, access: 'write' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [valueHeads, step.segments, 1],
        // The state passes through memory at each row: twice read, once written.
        traffic: (step) =>
          step.rows * (rowBytes(qkv) + rowBytes(gates) + rowBytes(out) + 12 * valueHeads * keyDim * valueDim),
      },
    ];
  },
};

/** Both orders of heads, several sequences, some at their beginning; run twice, so that the state that the first run left counts. */
export function deltaNetCases(seed: number): readonly OpCase<DeltaNetCall>[] {
  const shapes: readonly (readonly [
    heads: DeltaNetCall['heads'],
    keyHeads: number,
    valueHeads: number,
    keyDim: number,
    valueDim: number,
    type: ActivationType,
  ])[] = [
    ['tiled', 2, 4, 16, 16, 'f32'],
    ['grouped', 2, 6, 24, 32, 'f32'],
    ['tiled', 1, 1, 128, 128, 'f16'],
  ];
  return shapes.map(([heads, keyHeads, valueHeads, keyDim, valueDim, type], i): OpCase<DeltaNetCall> => {
    const { batch, numPages, rows } = caseBatch(
      [
        { position: 0, rows: 5 },
        { position: 9, rows: 1 },
        { position: 40, rows: 4 },
      ],
      seed + i,
    );
    const state = { name: 'delta_state', words: 3 * valueHeads * keyDim * valueDim };
    const values = Float32Array.from({ length: state.words }, (_, at) => 0.3 * Math.sin(seed + at * at));
    // Decays of less than 1, as −exp gives them.
    const parameters = Float32Array.from({ length: 2 * valueHeads + valueDim }, (_, at) =>
      at < valueHeads ? -0.2 - 0.1 * at : Math.cos(seed + at),
    );
    const activation = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type });
    const outputs = ['out', 'again'].map((name) => activation(name, valueHeads * valueDim));
    return {
      label: `delta_net ${heads} ${keyHeads}/${valueHeads} ${keyDim}×${valueDim} ${type}`,
      calls: outputs.map(
        (out): DeltaNetCall => ({
          op: 'delta_net',
          qkv: activation('qkv', 2 * keyHeads * keyDim + valueHeads * valueDim),
          gates: activation('gates', valueHeads * (valueDim + 2) + 8),
          parameters: { name: 'parameters', length: parameters.length },
          eps: 1e-6,
          keyHeads,
          valueHeads,
          keyDim,
          valueDim,
          heads,
          state,
          out,
        }),
      ),
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs: { delta_state: new Uint32Array(values.buffer), parameters },
      outputs: outputs.map((tensor) => ({ tensor, budget: type === 'f16' ? 1e-6 : 1e-9 })),
    };
  });
}
