/** Models that llama.cpp's gguf-split has cut into files: `NAME-00001-of-00003.gguf`, the metadata in the first. */
import { InvalidFileError, SourceError, throwIfAborted } from '../../errors';
import type { ByteSource } from '../byte_source';
import { joinedSource } from '../joined_source';
import type { DescribedSource, ModelFolder } from '../model_files';
import { type Gguf, type GgufTensor, optionalNumber } from './gguf';
import { readGguf } from './read_gguf';

/** Refuses a file that says it is one part of several when it was opened alone. */
export function expectWhole(gguf: Gguf, name: string): void {
  const count = optionalNumber(gguf, 'split.count');
  if (count === undefined || count <= 1) return;
  const number = (optionalNumber(gguf, 'split.no') ?? 0) + 1;
  throw new InvalidFileError(
    `${name}: it is part ${number} of ${count}; give the folder or all files, named NAME-0000${number}-of-${String(count).padStart(5, '0')}.gguf and so on`,
    { details: { file: name, part: number, parts: count } },
  );
}

/**
 * Reads the headers of all parts and joins them into one model. Rejects with SourceError naming a part that is missing, with
 * InvalidFileError when the parts do not belong together, and like `readGguf`.
 */
export async function openSplitGguf(
  folder: ModelFolder,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<DescribedSource> {
  const sources: ByteSource[] = [];
  const headers: Gguf[] = [];
  for (const [index, path] of paths.entries()) {
    throwIfAborted(signal);
    const source = await folder.open(path, signal);
    if (!source) {
      throw new SourceError(`${folder.name}: part ${index + 1} of ${paths.length} is missing: ${path}`, {
        details: { file: path, part: index + 1, parts: paths.length },
      });
    }
    const gguf = await readGguf(source, { signal });
    checkPart(gguf, source.name, index, paths.length);
    sources.push(source);
    headers.push(gguf);
  }
  const gguf = joinHeaders(headers, sources);
  return { ...joinedSource(sources[0].name, sources), gguf };
}

function fail(file: string, problem: string): InvalidFileError {
  return new InvalidFileError(`${file}: ${problem}`, { details: { file } });
}

function checkPart(gguf: Gguf, file: string, index: number, parts: number): void {
  for (const [key, expected] of [
    ['split.no', index],
    ['split.count', parts],
  ] as const) {
    const found = optionalNumber(gguf, key);
    // A file that was never split may be named like the only part of one.
    if (found === undefined && parts === 1) continue;
    if (found !== expected) {
      throw fail(file, `its name says part ${index + 1} of ${parts}, but ${key} is ${found ?? 'missing'}`);
    }
  }
}

function joinHeaders(headers: readonly Gguf[], sources: readonly ByteSource[]): Gguf {
  const tensors = new Map<string, GgufTensor>();
  let start = 0;
  headers.forEach((header, index) => {
    for (const tensor of header.tensors.values()) {
      if (tensors.has(tensor.name)) throw fail(sources[index].name, `tensor "${tensor.name}" is in another part too`);
      tensors.set(tensor.name, { ...tensor, offset: start + tensor.offset });
    }
    start += sources[index].size;
  });
  const [first] = headers;
  const promised = optionalNumber(first, 'split.tensors.count');
  if (promised !== undefined && promised !== tensors.size) {
    throw fail(sources[0].name, `split.tensors.count is ${promised}, the parts have ${tensors.size} tensors`);
  }
  return { ...first, tensors };
}
