import { keptAs } from '../activation_store';
import type { ShortConvCall } from '../calls';
import { caseBatch } from '../case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from '../op';
import { expectInteger, expectShape, rowBytes } from '../shape_check';

const LANES = 64;
/** Inputs that a lane keeps in registers. */
const MAX_WIDTH = 8;

function channelsOf({ weight, width }: ShortConvCall): number {
  return weight.length / width;
}

export const shortConvOp: Op<ShortConvCall> = {
  name: 'short_conv',

  check(call) {
    const { x, weight, width, state, out, kind } = call;
    const channels = channelsOf(call);
    expectInteger('short_conv', 'width', width, 2, MAX_WIDTH);
    expectInteger('short_conv', `length of "${weight.name}" / width`, channels, 1);
    expectInteger('short_conv', `columns of "${x.name}"`, x.cols, kind === 'gated' ? 3 * channels : channels);
    expectShape('short_conv', `columns of "${out.name}"`, out.cols, channels);
    expectInteger('short_conv', `slots of "${state.name}"`, state.words / ((width - 1) * channels), 1);
    for (const tensor of [x, out]) expectShape('short_conv', `rows of "${tensor.name}"`, tensor.rows, 'step');
  },

  reference(call, env) {
    const { width, kind } = call;
    const channels = channelsOf(call);
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    const weight = env.vector(call.weight);
    const state = new Float32Array(env.state(call.state).buffer);
    for (const { slot, firstRow, rowCount, firstPosition } of env.batch.segments) {
      for (let channel = 0; channel < channels; channel++) {
        const past = (i: number): number => (slot * (width - 1) + i) * channels + channel;
        const inputs = Array.from({ length: width - 1 }, (_, i) => (firstPosition === 0 ? 0 : state[past(i)]));
        for (let row = firstRow; row < firstRow + rowCount; row++) {
          const at = row * call.x.cols + channel;
          inputs.push(kind === 'gated' ? Math.fround(x[at] * x[at + 2 * channels]) : x[at]);
          let sum = 0;
          for (let k = 0; k < width; k++) sum += weight[channel * width + k] * inputs[inputs.length - width + k];
          out[row * channels + channel] = kind === 'gated' ? x[at + channels] * sum : sum / (1 + Math.exp(-sum));
        }
        inputs.slice(1 - width).forEach((value, i) => {
          state[past(i)] = value;
        });
      }
    }
  },

  dispatches(call): readonly Dispatch[] {
    const { x, weight, width, state, out, kind } = call;
    const channels = channelsOf(call);
    return [
      {
        label: `short_conv ${kind} ${channels}×${width} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/short_conv.wgsl',
          swaps: keptAs(out.type),
          aliases: { ActIn: x.type, ActOut: out.type },
          constants: { WIDTH: width, GATED: kind === 'gated' },
          overrides: { CHANNELS: channels, X_COLS: x.cols },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'vector', tensor: weight },
          { kind: 'state', state, access: 'write' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(channels / LANES), step.segments, 1],
        traffic: (step) =>
          step.rows * (rowBytes(out) * (kind === 'gated' ? 4 : 2)) +
          4 * weight.length +
          step.segments * 8 * (width - 1) * channels,
      },
    ];
  },
};

/** Both kinds, several sequences, some at their beginning; run twice, so that what the first run left behind counts. */
export function shortConvCases(seed: number): readonly OpCase<ShortConvCall>[] {
  const shapes: readonly (readonly [
    kind: ShortConvCall['kind'],
    channels: number,
    width: number,
    type: ActivationType,
  ])[] = [
    ['gated', 72, 3, 'f32'],
    ['silu', 130, 4, 'f32'],
    ['silu', 64, 4, 'f16'],
  ];
  return shapes.map(([kind, channels, width, type], i): OpCase<ShortConvCall> => {
    const { batch, numPages, rows } = caseBatch(
      [
        { position: 0, rows: 5 },
        { position: 9, rows: 1 },
        { position: 40, rows: 7 },
      ],
      seed + i,
    );
    const state = { name: 'conv_state', words: 3 * (width - 1) * channels };
    const values = Float32Array.from({ length: state.words }, (_, at) => Math.sin(seed + at * at));
    const x: Activation = { name: 'x', cols: (kind === 'gated' ? 3 : 1) * channels + 12, rows: 'step', type };
    const weight = { name: 'weight', length: channels * width };
    const outputs = ['out', 'again'].map((name): Activation => ({ name, cols: channels, rows: 'step', type }));
    return {
      label: `short_conv ${kind} ${channels}×${width} ${type}`,
      calls: outputs.map((out): ShortConvCall => ({ op: 'short_conv', x, weight, width, state, out, kind })),
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs: { conv_state: new Uint32Array(values.buffer) },
      outputs: outputs.map((tensor) => ({ tensor, budget: type === 'f16' ? 1e-6 : 1e-9 })),
    };
  });
}
