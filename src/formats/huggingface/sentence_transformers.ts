/** What sentence-transformers puts behind a model: how its rows become one vector, and matmuls of that vector. */

import type { ModelFolder } from '../model_files';
import { openCheckpoint } from '../safetensors/checkpoint';
import { isJsonObject, type JsonValue, parseStrictJsonBytes } from '../strict_json';
import { Config } from './config';
import { renamed } from './conversions';
import { broken, type DescribedTensor } from './described_tensor';
import type { Metadata } from './metadata';

/** Reads a small file of the folder beside the model; undefined where there is none. */
export type ReadFile = (name: string) => Promise<Uint8Array<ArrayBuffer> | undefined>;

/** GGUF's names for dense modules, in their order. */
const DENSE = ['dense_2.weight', 'dense_3.weight'];

/**
 * Writes the pooling that "modules.json" or, without one, "1_Pooling" describes (GGUF's types 1 for mean, 2 for the first token and 3 for
 * the last), and returns the dense modules' tensors. Nothing for a model that predicts tokens. Rejects with UnsupportedModelError naming a
 * module or pooling that is not known.
 */
export async function describeSentenceTransformers(
  folder: ModelFolder,
  directory: string,
  read: ReadFile,
  metadata: Metadata,
  signal?: AbortSignal,
): Promise<readonly DescribedTensor[]> {
  const modules = readModules(await read('modules.json'), folder);
  const tensors: DescribedTensor[] = [];
  for (const { kind, path } of modules) {
    if (kind === 'Pooling') describePooling(await read(`${path}/config.json`), `${folder.name}: ${path}`, metadata);
    if (kind !== 'Dense') continue;
    const name = DENSE[tensors.length];
    if (name === undefined) throw broken(`${folder.name}: modules.json: more than ${DENSE.length} dense modules`);
    tensors.push(await readDense(folder, directory, path, await read(`${path}/config.json`), name, signal));
  }
  return tensors;
}

interface Module {
  readonly kind: string;
  readonly path: string;
}

const KINDS: readonly string[] = ['Transformer', 'Pooling', 'Dense', 'Normalize'];

function readModules(bytes: Uint8Array | undefined, folder: ModelFolder): Module[] {
  if (!bytes) return [{ kind: 'Pooling', path: '1_Pooling' }];
  const file = `${folder.name}: modules.json`;
  const json = parseStrictJsonBytes(bytes, file);
  const list = Array.isArray(json) ? (json as readonly JsonValue[]) : [];
  return list.map((entry) => {
    const config = new Config(isJsonObject(entry) ? entry : new Map(), file);
    const type = config.text('type');
    const kind = type.slice(type.lastIndexOf('.') + 1);
    if (!KINDS.includes(kind)) throw config.unsupported(`the module "${type}" is not supported (${KINDS.join(', ')})`);
    const path = config.text('path');
    if (kind !== 'Transformer' && !/^\w[\w.-]*$/.test(path)) {
      throw config.invalid(`"path": ${JSON.stringify(path)} is not the name of a folder beside it`);
    }
    return { kind, path };
  });
}

function describePooling(bytes: Uint8Array | undefined, file: string, metadata: Metadata): void {
  if (!bytes) return;
  const json = parseStrictJsonBytes(bytes, `${file}/config.json`);
  const config = new Config(isJsonObject(json) ? json : new Map(), `${file}/config.json`);
  const modes = isJsonObject(json)
    ? [...json].filter(([key, on]) => key.startsWith('pooling_mode_') && on === true)
    : [];
  const types = new Map([
    ['pooling_mode_mean_tokens', 1],
    ['pooling_mode_cls_token', 2],
    ['pooling_mode_lasttoken', 3],
  ]);
  const [[mode] = ['nothing']] = modes;
  const type = types.get(mode);
  if (modes.length !== 1 || type === undefined) {
    throw config.unsupported(`pooling by ${modes.map(([key]) => key).join(' and ') || 'nothing'} is not supported`);
  }
  metadata.u32('pooling_type', type);
}

async function readDense(
  folder: ModelFolder,
  directory: string,
  path: string,
  bytes: Uint8Array | undefined,
  name: string,
  signal?: AbortSignal,
): Promise<DescribedTensor> {
  const file = `${folder.name}: ${path}/config.json`;
  const json = bytes && parseStrictJsonBytes(bytes, file);
  const config = new Config(isJsonObject(json) ? json : new Map(), file);
  config.expect('activation_function', ['torch.nn.modules.linear.Identity']);
  config.expect('bias', [false]);
  const checkpoint = await openCheckpoint(folder, `${directory}${path}/model.safetensors`, signal);
  const stored = checkpoint.get('linear.weight');
  if (!stored || checkpoint.size !== 1) {
    throw config.unsupported(
      `a dense module with ${[...checkpoint.keys()].join(', ')} is not supported (linear.weight is)`,
    );
  }
  const shape = [config.integer('out_features'), config.integer('in_features')];
  if (stored.shape.join() !== shape.join()) {
    throw config.invalid(`"linear.weight" has shape [${stored.shape.join(', ')}], expected [${shape.join(', ')}]`);
  }
  const [tensor] = renamed(name)(stored, { config, checkpoint, at: (target) => target });
  return tensor;
}
