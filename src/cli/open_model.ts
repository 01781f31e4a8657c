import type { Purpose } from '../engine/purpose';
import type { LoadModelOptions } from '../model/layout';
import { type LoadedModel, loadModel } from '../model/load_model';
import type { Arguments } from './arguments';
import { createNodeGpu } from './dawn';
import { fileTextStore } from './file_text_store';
import { openSource } from './open_source';
import { formatBytes, notice, progressLine } from './output';

export interface OpenOptions {
  readonly maxRows?: number;
  /** Where --ctx does not say. */
  readonly contextLength?: number;
  readonly maxSlots?: number;
  /** See LoadModelOptions: for commands that begin with a short step. */
  readonly compileInBackground?: boolean;
  /** What the command wants of the model; tokens otherwise. */
  readonly purpose?: Purpose;
  /** Dawn's instance, where the command already has one. */
  readonly gpu?: GPU;
}

/** What the command's options say about loading. */
export function loadOptions(args: Arguments, options: OpenOptions): LoadModelOptions {
  const { gpu, maxRows, maxSlots, contextLength, compileInBackground, purpose } = options;
  return {
    backend: args.backend,
    gpu,
    contextLength: args.contextLength ?? contextLength,
    quantize: args.quantize,
    kvType: args.kvType,
    activationType: args.activationType,
    without: args.without,
    defaultLimits: args.flag('default-limits'),
    maxRows,
    maxSlots,
    tune: { mode: args.tune, store: fileTextStore() },
    compileInBackground,
    purpose,
    onProgress: ({ phase, loaded, total }) =>
      progressLine(phase === 'weights' ? `loading ${formatBytes(loaded)} of ${formatBytes(total)}` : phase),
  };
}

/** Loads the command's model on the backend that its options ask for. */
export async function openModel(
  args: Arguments,
  { path = args.model(), ...options }: OpenOptions & { readonly path?: string } = {},
): Promise<LoadedModel> {
  const source = await openSource(path);
  const gpu = args.backend === 'webgpu' ? (options.gpu ?? (await createNodeGpu())) : undefined;
  const model = await loadModel(source, loadOptions(args, { purpose: 'tokens', ...options, gpu }));
  progressLine('');
  const { adapter, description } = model;
  const machine = adapter ? adapter.description || adapter.device || adapter.vendor : 'reference executor';
  notice(`${description.name} (${description.architecture}), context ${description.contextLength}, on ${machine}`);
  if (description.contextLength > description.trainedContextLength) {
    notice(`beyond the ${description.trainedContextLength} positions that it was trained for, answers get worse`);
  }
  for (const warning of model.warnings) notice(`warning: ${warning}`);
  return model;
}
