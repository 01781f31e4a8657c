import type { ByteSource } from '../../src/formats/byte_source';
import type { ModelFolder } from '../../src/formats/model_files';
import { bufferSource } from '../../src/storage/byte_source';

export interface WrittenSafetensor {
  readonly dtype: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A safetensors file; tensors lie in the order of the object. */
export function writeSafetensors(tensors: Readonly<Record<string, WrittenSafetensor>>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.length] };
    end += data.length;
  }
  return safetensorsFile(
    JSON.stringify(header),
    Object.values(tensors).map(({ data }) => data),
  );
}

/** The same from a header's text, which may be wrong on purpose. */
export function safetensorsFile(header: string, data: readonly Uint8Array[] = []): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return new Uint8Array(Buffer.concat([length, text, ...data]));
}

export type WrittenFiles = Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>;

export function memoryFolder(files: WrittenFiles, name = 'folder'): ModelFolder {
  return {
    name,
    async open(path): Promise<ByteSource | undefined> {
      if (!Object.hasOwn(files, path)) return undefined;
      const content = files[path];
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      return bufferSource(bytes, path);
    },
  };
}
