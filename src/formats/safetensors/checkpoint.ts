/** The tensors of a checkpoint: one safetensors file, or several with an index. */
import { InvalidFileError, SourceError } from '../../errors';
import type { ByteSource } from '../byte_source';
import type { ModelFolder } from '../model_files';
import { isJsonObject, parseStrictJsonBytes } from '../strict_json';
import { readSafetensors, type SafetensorsTensor } from './header';

/** A tensor and the file that holds it. */
export interface StoredTensor extends SafetensorsTensor {
  readonly source: ByteSource;
}

const MAX_INDEX_BYTES = 64 << 20;
const MAX_SHARDS = 1000;

/** The whole of a small file. Rejects with InvalidFileError when it has more than `limit` bytes. */
export async function readSmallFile(
  source: ByteSource,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  if (source.size > limit) {
    throw new InvalidFileError(`${source.name}: ${source.size} bytes, at most ${limit} are allowed`, {
      details: { file: source.name, bytes: source.size, limit },
    });
  }
  return await source.read(0, source.size, signal);
}

/**
 * All tensors behind `path`, a .safetensors file or a .safetensors.index.json, by name in the order of the files.
 * Rejects with InvalidFileError (a header, the index, a tensor in two files or in none), SourceError naming a missing file, or AbortedError.
 */
export async function openCheckpoint(
  folder: ModelFolder,
  path: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, StoredTensor>> {
  if (!path.endsWith('.index.json')) return await readShard(await openFile(folder, path, signal), signal);
  const index = await openFile(folder, path, signal);
  const weightMap = readWeightMap(await readSmallFile(index, MAX_INDEX_BYTES, signal), index.name);
  const directory = path.slice(0, path.lastIndexOf('/') + 1);
  const found = new Map<string, StoredTensor>();
  for (const shard of new Set(weightMap.values())) {
    const source = await openFile(folder, directory + shard, signal);
    for (const [name, tensor] of await readShard(source, signal)) {
      if (weightMap.get(name) !== shard) {
        const says = weightMap.get(name) ?? 'no file';
        throw fail(index.name, `tensor "${name}" is in ${shard}, the index says in ${says}`);
      }
      found.set(name, tensor);
    }
  }
  for (const [name, shard] of weightMap) {
    if (!found.has(name)) throw fail(index.name, `tensor "${name}" is not in ${shard}`);
  }
  return found;
}

async function readShard(source: ByteSource, signal?: AbortSignal): Promise<Map<string, StoredTensor>> {
  const { tensors } = await readSafetensors(source, signal);
  return new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, source }]));
}

function readWeightMap(bytes: Uint8Array, file: string): ReadonlyMap<string, string> {
  const json = parseStrictJsonBytes(bytes, file);
  const weightMap = isJsonObject(json) ? json.get('weight_map') : undefined;
  if (!isJsonObject(weightMap) || weightMap.size === 0) throw fail(file, '"weight_map" is missing or no object');
  const found = new Map<string, string>();
  for (const [name, shard] of weightMap) {
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard) || shard.startsWith('.')) {
      throw fail(file, `tensor "${name}": ${JSON.stringify(shard)} is not the name of a .safetensors file beside it`);
    }
    found.set(name, shard);
  }
  const shards = new Set(found.values()).size;
  if (shards > MAX_SHARDS) throw fail(file, `${shards} files, at most ${MAX_SHARDS} are allowed`);
  return found;
}

async function openFile(folder: ModelFolder, path: string, signal?: AbortSignal): Promise<ByteSource> {
  const source = await folder.open(path, signal);
  if (!source) throw new SourceError(`${folder.name}: ${path} is missing`, { details: { file: path } });
  return source;
}

function fail(file: string, problem: string): InvalidFileError {
  return new InvalidFileError(`${file}: ${problem}`, { details: { file } });
}
