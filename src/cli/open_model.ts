import { type LoadedModel, loadModel } from '../model/load_model';
import { isSyntheticName, type ModelOrigin, namedSyntheticModel } from '../model/synthetic';
import { urlSource } from '../storage/url_source';
import type { Arguments } from './arguments';
import { createNodeGpu } from './dawn';
import { fileSource } from './file_source';
import { formatBytes, notice, progressLine } from './output';

/** A model argument: `synthetic:SHAPE:FORMAT`, a URL, or a path. */
export async function openSource(model: string): Promise<ModelOrigin> {
  if (isSyntheticName(model)) return namedSyntheticModel(model);
  return /^https?:\/\//.test(model) ? urlSource(model) : fileSource(model);
}

export interface OpenOptions {
  readonly maxRows?: number;
  /** Wraps the device before anything is made on it: for counting calls. */
  readonly gpu?: GPU;
}

/** Loads the command's model on the backend that its options ask for. */
export async function openModel(args: Arguments, options: OpenOptions = {}): Promise<LoadedModel> {
  const source = await openSource(args.model());
  const model = await loadModel(source, {
    backend: args.backend,
    gpu: args.backend === 'webgpu' ? (options.gpu ?? (await createNodeGpu())) : undefined,
    contextLength: args.contextLength,
    without: args.without,
    defaultLimits: args.flag('default-limits'),
    maxRows: options.maxRows,
    onProgress: ({ phase, loaded, total }) =>
      progressLine(phase === 'weights' ? `loading ${formatBytes(loaded)} of ${formatBytes(total)}` : phase),
  });
  progressLine('');
  const { adapter, description } = model;
  const machine = adapter ? adapter.description || adapter.device || adapter.vendor : 'reference executor';
  notice(`${description.name} (${description.architecture}), context ${description.contextLength}, on ${machine}`);
  if (description.contextLength > description.trainedContextLength) {
    notice(`beyond the ${description.trainedContextLength} positions that it was trained for, answers get worse`);
  }
  return model;
}
