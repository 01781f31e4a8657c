import { InternalError } from '../errors';
import { activationOp } from './activation';
import { argmaxOp } from './argmax';
import { attentionOp } from './attention/attention';
import type { OpCall } from './calls';
import { dolaContrastOp, dolaSelectOp } from './dola';
import { embedOp } from './embed';
import { expertLinearOp } from './experts/expert_linear';
import { expertSumOp } from './experts/expert_sum';
import { gateRowsOp } from './experts/gate_rows';
import { groupExpertsOp } from './experts/group_experts';
import { routeOp } from './experts/route';
import { gluOp } from './glu';
import { guideLogitsOp } from './guide_logits';
import { layerNormOp } from './layer_norm';
import { linearOp } from './linear/linear';
import { maskLogitsOp } from './mask_logits';
import type { Dispatch, KernelTarget, Op, ReferenceEnv } from './op';
import { poolOp } from './pool';
import { deltaNetOp } from './recurrent/delta_net';
import { headGateOp } from './recurrent/head_gate';
import { shortConvOp } from './recurrent/short_conv';
import { rmsNormOp } from './rms_norm';
import { ropeKvOp } from './rope_kv';
import { sampleChainOp } from './sample/chain_op';
import { sampleOp } from './sample/sample';

type AnyOp = { [Call in OpCall as Call['op']]: Op<Call> };

const OPS: AnyOp = {
  embed: embedOp,
  rms_norm: rmsNormOp,
  layer_norm: layerNormOp,
  linear: linearOp,
  rope_kv: ropeKvOp,
  attention: attentionOp,
  activation: activationOp,
  pool: poolOp,
  short_conv: shortConvOp,
  delta_net: deltaNetOp,
  head_gate: headGateOp,
  glu: gluOp,
  route: routeOp,
  group_experts: groupExpertsOp,
  expert_linear: expertLinearOp,
  expert_sum: expertSumOp,
  gate_rows: gateRowsOp,
  mask_logits: maskLogitsOp,
  dola_select: dolaSelectOp,
  dola_contrast: dolaContrastOp,
  guide_logits: guideLogitsOp,
  argmax: argmaxOp,
  sample: sampleOp,
  sample_chain: sampleChainOp,
};

function opOf(call: OpCall): Op<OpCall> {
  const op = (OPS as Readonly<Record<string, unknown>>)[call.op];
  if (op === undefined) throw new InternalError(`no op is called "${call.op}"`);
  return op as Op<OpCall>;
}

/** Throws when the shapes of the call's tensors do not fit together. */
export function checkCall(call: OpCall): void {
  opOf(call).check(call);
}

export function runReference(call: OpCall, env: ReferenceEnv): void {
  opOf(call).reference(call, env);
}

export function dispatchesOf(call: OpCall, target: KernelTarget): readonly Dispatch[] {
  return opOf(call).dispatches(call, target);
}

/** The kernels of two neighbouring calls that run at once; undefined where each has to have its own. */
export function dispatchesOfTwo(first: OpCall, second: OpCall, target: KernelTarget): readonly Dispatch[] | undefined {
  if (first.op !== second.op) return undefined;
  return opOf(first).dispatchesOfTwo?.(first, second, target);
}
