import type { OpCall } from '../ops/calls';
import type { Activation, KvCache, State, Vector, Weight } from '../ops/op';

/** The tensors of a call by role, found from the shape of its fields: a call is data. */
export interface CallTensors {
  readonly activations: readonly Activation[];
  readonly weights: readonly Weight[];
  readonly vectors: readonly Vector[];
  readonly caches: readonly KvCache[];
  readonly states: readonly State[];
}

export function tensorsOf(calls: readonly OpCall[]): CallTensors {
  const activations = new Map<string, Activation>();
  const weights = new Map<string, Weight>();
  const vectors = new Map<string, Vector>();
  const caches = new Map<number, KvCache>();
  const states = new Map<string, State>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const tensor = value as Record<string, unknown>;
    if ('layer' in tensor && 'headDim' in tensor) {
      const cache = value as KvCache;
      caches.set(cache.layer, cache);
    } else if ('format' in tensor) weights.set((value as Weight).name, value as Weight);
    else if ('cols' in tensor) activations.set((value as Activation).name, value as Activation);
    else if ('words' in tensor) states.set((value as State).name, value as State);
    else if ('length' in tensor && 'name' in tensor) vectors.set((value as Vector).name, value as Vector);
    else for (const inner of Object.values(tensor)) visit(inner);
  };
  for (const call of calls) for (const field of Object.values(call)) visit(field);
  return {
    activations: [...activations.values()],
    weights: [...weights.values()],
    vectors: [...vectors.values()],
    caches: [...caches.values()],
    states: [...states.values()],
  };
}
