import type { GgufMetadata, GgufValue } from '../../../../src/formats/gguf/gguf';

type Plain = string | number | boolean | readonly string[] | readonly number[];

/** Metadata as a reader of a file would give it. */
export function metadata(values: Readonly<Record<string, Plain>>): GgufMetadata {
  return { metadata: new Map(Object.entries(values).map(([key, value]) => [key, toValue(value)])) };
}

function toValue(value: Plain): GgufValue {
  switch (typeof value) {
    case 'string':
      return { type: 'string', value };
    case 'number':
      return { type: 'u32', value };
    case 'boolean':
      return { type: 'bool', value };
    default:
      if (value.every((item) => typeof item === 'string')) {
        return { type: 'array', value: { itemType: 'string', items: value } };
      }
      return { type: 'array', value: { itemType: 'f32', items: Float32Array.from(value as readonly number[]) } };
  }
}
