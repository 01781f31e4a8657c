/**
 * Mixture of experts in place of a feed-forward network (Shazeer et al. 2017; Fedus et al. 2022): a router chooses topK of E gated networks
 * for each row and sums their results by its weights; a shared expert runs for every row. Up to 16 rows in four calls (router, choice,
 * gate·up, weighted down), larger steps sorted by expert.
 */
import { InvalidFileError, UnsupportedModelError } from '../../errors';
import { optionalBool } from '../../formats/gguf/gguf';
import type { ExpertLinearCall, OpCall } from '../../ops/calls';
import { expertGroups } from '../../ops/experts/groups';
import type { Activation, Vector, Weight } from '../../ops/op';
import { planeBytes } from '../../ops/weights/layout';
import { expectAbsentOr } from '../hyperparameters';
import { type GatedFfn, gatedHidden } from './branches';
import type { Branch } from './decoder';
import type { DecoderReader } from './decoder_reader';
import type { BranchInput, BranchOutput, PlanContext, RmsNorm } from './plan_context';
import { outputsOf, type Projection, readProjection } from './projection';

type ExpertActivation = Exclude<ExpertLinearCall['epilogue'], 'none'>;

interface ExpertOptions {
  /** Width of an expert. */
  readonly size: number;
  /** The chosen experts' weights are made to sum to 1. */
  readonly normalise: boolean;
  readonly activation?: ExpertActivation;
  /** The router reads the stream through a norm of its own, in place of what the experts read. */
  readonly routerNorm?: RmsNorm;
  /** Each expert's weight has a factor of its own, `ffn_down_exps.scale`. */
  readonly scaled?: boolean;
  /** Width of the shared expert. */
  readonly sharedSize?: number;
  /** The shared expert's result is multiplied by the sigmoid of `ffn_gate_inp_shexp · x`. */
  readonly sharedGate?: boolean;
}

interface Stack {
  readonly weight: Weight;
  readonly bias?: Vector;
}

interface Experts {
  readonly count: number;
  readonly topK: number;
  readonly size: number;
  readonly scale: number;
  readonly normalise: boolean;
  readonly activation: ExpertActivation;
  readonly routerNorm?: RmsNorm;
  /** A factor of each expert's weight. */
  readonly expertScale?: Vector;
  /** Rows: one for each expert, then, if there is one, the gate of the shared expert. */
  readonly router: Projection;
  /** Gate and up in one stack, or each in its own because their storage types differ or no binding would hold both. */
  readonly gateUp: readonly Stack[];
  readonly down: Stack;
  readonly shared?: GatedFfn & { readonly gated: boolean };
}

/** Reads `ffn_gate_inp`, `ffn_{gate,up,down}_exps` (or `ffn_gate_up_exps`) and `ffn_{gate,up,down}_shexp` of a layer. */
export function readExperts(reader: DecoderReader, layer: number, options: ExpertOptions): Branch {
  const { tensors, hiddenSize, gguf } = reader;
  const { size, normalise, activation = 'swiglu', routerNorm, scaled, sharedSize, sharedGate = false } = options;
  const count = reader.positive('expert_count');
  const topK = reader.positive('expert_used_count');
  if (topK > count) {
    throw new InvalidFileError(`${reader.key('expert_used_count')} is ${topK}, of ${count} experts`);
  }
  if (size % 4 !== 0 || count > 1024 || topK > 64) {
    throw new UnsupportedModelError(`${topK} of ${count} experts of width ${size} are not supported`);
  }
  expectAbsentOr(gguf, reader.key('expert_group_count'), [0, 1]);
  expectAbsentOr(gguf, reader.key('expert_gating_func'), [activation === 'swiglu_clamped' ? 3 : 1]);
  if ((optionalBool(gguf, reader.key('expert_weights_norm')) ?? normalise) !== normalise) {
    throw new UnsupportedModelError(`${reader.key('expert_weights_norm')} = ${!normalise} is not supported`);
  }
  const at = (name: string): string => reader.at(layer, name);
  const routerParts = [{ tensor: at('ffn_gate_inp'), rows: count }];
  if (sharedGate) routerParts.push({ tensor: at('ffn_gate_inp_shexp'), rows: 1 });
  const scaleName = at('ffn_down_exps.scale');
  return expertBranch({
    count,
    topK,
    size,
    scale: reader.optional('expert_weights_scale') ?? 1,
    normalise,
    activation,
    routerNorm,
    expertScale: scaled ? tensors.vector(scaleName, [{ tensor: scaleName, length: count }]) : undefined,
    router: readProjection(tensors, at('ffn_router'), routerParts, hiddenSize),
    gateUp: readGateUp(reader, layer, count, size, activation),
    down: readStack(reader, at('ffn_down_exps'), [{ tensor: at('ffn_down_exps'), rows: hiddenSize }], size, count),
    shared: sharedSize === undefined ? undefined : { ...readShared(reader, layer, sharedSize), gated: sharedGate },
  });
}

function readGateUp(
  reader: DecoderReader,
  layer: number,
  count: number,
  size: number,
  activation: Experts['activation'],
): Stack[] {
  const { tensors, hiddenSize, maxBindingBytes } = reader;
  const at = (name: string): string => reader.at(layer, name);
  const fused = at('ffn_gate_up_exps');
  if (tensors.has(`${fused}.weight`)) {
    return [readStack(reader, fused, [{ tensor: fused, rows: 2 * size }], hiddenSize, count)];
  }
  const parts = ['ffn_gate_exps', 'ffn_up_exps'].map((name) => ({ tensor: at(name), rows: size }));
  const [gate, up] = parts.map(({ tensor }) => tensors.formatOf(`${tensor}.weight`));
  if (gate === up && planeBytes(gate, 2 * size, hiddenSize).quants <= maxBindingBytes) {
    return [readStack(reader, fused, parts, hiddenSize, count)];
  }
  if (activation === 'swiglu_clamped') {
    throw new UnsupportedModelError(
      `"${parts[0].tensor}" is stored as ${gate} and "${parts[1].tensor}" as ${up}: this activation needs both in one binding`,
    );
  }
  return parts.map((part) => readStack(reader, part.tensor, [part], hiddenSize, count));
}

function readStack(
  { tensors }: DecoderReader,
  name: string,
  parts: readonly { readonly tensor: string; readonly rows: number }[],
  cols: number,
  count: number,
): Stack {
  const matrices = parts.map(({ tensor, rows }) => ({ tensor: `${tensor}.weight`, rows }));
  const { weight } = tensors.stack(name, matrices, cols, count);
  if (!parts.some(({ tensor }) => tensors.has(`${tensor}.bias`))) return { weight };
  const biases = parts.map(({ tensor, rows }) => ({ tensor: `${tensor}.bias`, length: rows }));
  return { weight, bias: tensors.stackedVector(`${name}.bias`, biases, count) };
}

function readShared(reader: DecoderReader, layer: number, size: number): GatedFfn {
  const { tensors, hiddenSize, maxBindingBytes } = reader;
  const at = (name: string): string => reader.at(layer, name);
  const gateUp = ['ffn_gate_shexp', 'ffn_up_shexp'].map((name) => ({ tensor: at(name), rows: size }));
  const down = [{ tensor: at('ffn_down_shexp'), rows: hiddenSize }];
  return {
    gateUp: readProjection(tensors, at('ffn_gate_up_shexp'), gateUp, hiddenSize, maxBindingBytes),
    down: readProjection(tensors, at('ffn_down_shexp'), down, size),
    activation: 'silu',
  };
}

function expertBranch(experts: Experts): Branch {
  const { count, topK, size, gateUp, down } = experts;
  return (input, output, context) => {
    const logits = context.step('router_logits', outputsOf(experts.router), 'f32');
    const routing = context.step('routing', 2 * topK, 'f32');
    const hidden = context.step('expert_hidden', topK * size);
    const groups = context.small ? undefined : expertGroups(context.bucket.maxRows, topK, count);
    const linear = { op: 'expert_linear', experts: count, routing, groups, combine: false, accumulate: false } as const;
    const both = gateUp.length === 1 ? undefined : context.step('expert_gate_up', 2 * topK * size);
    const routed = routerInput(experts, input, context);
    return [
      ...routed.calls,
      ...context.linear(routed.input, experts.router, logits),
      {
        op: 'route',
        logits,
        experts: count,
        out: routing,
        scoring: 'softmax',
        normalise: experts.normalise,
        scale: experts.scale * (output.scale ?? 1),
        expertScale: experts.expertScale,
      },
      ...(groups ? [{ op: 'group_experts', routing, experts: count, groups } as const] : []),
      ...gateUp.map(
        ({ weight, bias }, i): ExpertLinearCall => ({
          ...linear,
          x: input.x,
          norm: input.norm && { weight: input.norm.weight, eps: input.norm.eps },
          weight,
          bias,
          out: both ?? hidden,
          // All gates, then all up projections, as glu takes them.
          outColumn: i * topK * size,
          epilogue: both ? 'none' : experts.activation,
        }),
      ),
      ...(both
        ? [{ op: 'glu', x: both, out: hidden, activation: experts.activation === 'geglu' ? 'gelu' : 'silu' } as const]
        : []),
      // Before anything is added to the stream, which the shared expert may read directly.
      ...sharedHidden(experts, input, logits, context),
      ...(groups
        ? groupedDown(down, { ...linear, x: hidden, groups }, output, context)
        : [
            {
              ...linear,
              x: hidden,
              ...down,
              out: output.out,
              outColumn: 0,
              combine: true,
              accumulate: output.accumulate,
              epilogue: 'none',
            } as const,
          ]),
      ...sharedDown(experts, output, context),
    ];
  };
}

/** What the router reads: the experts' input, or the stream through a norm of its own. */
function routerInput(
  { routerNorm: norm }: Experts,
  input: BranchInput,
  context: PlanContext,
): ReturnType<PlanContext['materialised']> {
  if (!norm) return { calls: [], input };
  return context.small ? { calls: [], input: { x: context.x, norm } } : context.materialised(norm, 'router_input');
}

/** Every pair's result by itself, then the weighted sum of each row: tiles of different experts cannot add to one row in a fixed order. */
function groupedDown(
  down: Stack,
  linear: Pick<ExpertLinearCall, 'op' | 'experts' | 'routing' | 'groups' | 'combine' | 'accumulate' | 'x'>,
  { out, accumulate }: BranchOutput,
  context: PlanContext,
): OpCall[] {
  const topK = linear.routing.cols / 2;
  const results = context.step('expert_out', topK * out.cols, 'f32');
  return [
    { ...linear, ...down, out: results, outColumn: 0, epilogue: 'none' },
    { op: 'expert_sum', x: results, routing: linear.routing, out, accumulate },
  ];
}

function sharedBuffer({ gateUp }: GatedFfn, context: PlanContext): Activation {
  return context.step('shared_hidden', outputsOf(gateUp) / 2);
}

function sharedHidden(
  { shared, count }: Experts,
  input: BranchInput,
  logits: Activation,
  context: PlanContext,
): OpCall[] {
  if (!shared) return [];
  const hidden = sharedBuffer(shared, context);
  return [
    ...gatedHidden(shared, input, hidden, context),
    ...(shared.gated ? [{ op: 'gate_rows', out: hidden, logits, column: count } as const] : []),
  ];
}

function sharedDown({ shared }: Experts, output: BranchOutput, context: PlanContext): OpCall[] {
  return shared ? context.finish(sharedBuffer(shared, context), shared.down, { ...output, accumulate: true }) : [];
}
