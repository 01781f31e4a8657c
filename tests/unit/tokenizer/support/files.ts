import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { GgufMetadata } from '../../../../src/formats/gguf/gguf';
import { readGguf } from '../../../../src/formats/gguf/read_gguf';
import { metadata } from './metadata';

const folder = new URL('../../../../../shared/', import.meta.url);
export const fixtures = new URL('fixtures/tokenizers/', folder);
export const demoModel = new URL('demo-model/', folder);

export const hasFixtures = existsSync(fixtures) && existsSync(demoModel);

export async function openGguf(url: URL): Promise<GgufMetadata> {
  const bytes = readFileSync(url);
  return readGguf({
    name: url.pathname,
    size: bytes.length,
    read: (offset, length) => Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length))),
    stream: async function* (offset, length) {
      yield Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)));
    },
  });
}

/** The texts of an .inp file with the ids of the .out file beside it. */
export function readVectors(name: string): { text: string; ids: number[] }[] {
  const texts = readFileSync(new URL(`${name}.inp`, fixtures), 'utf8').split('\n__ggml_vocab_test__\n');
  const lines = readFileSync(new URL(`${name}.out`, fixtures), 'utf8').split('\n');
  return texts.map((text, i) => ({ text, ids: lines[i].trim().split(/\s+/).filter(Boolean).map(Number) }));
}

export interface TokenizerJson {
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly (string | string[])[] };
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
}

export function readQwenTokenizerJson(): TokenizerJson {
  return JSON.parse(
    gunzipSync(readFileSync(new URL('qwen2.5-tokenizer.json.gz', fixtures))).toString('utf8'),
  ) as TokenizerJson;
}

export interface TokenizerConfig {
  readonly chat_template: string;
}

export function readQwenConfig(): TokenizerConfig {
  return JSON.parse(readFileSync(new URL('qwen2.5-tokenizer_config.json', fixtures), 'utf8')) as TokenizerConfig;
}

/** A byte-level BPE from Hugging Face's form as a converter would write it into a GGUF. */
export function ggufFromTokenizerJson(
  json: TokenizerJson,
  pre: string,
  more: Record<string, string | number> = {},
): GgufMetadata {
  const tokens: string[] = [];
  for (const [text, id] of Object.entries(json.model.vocab)) tokens[id] = text;
  for (const { id, content } of json.added_tokens) tokens[id] = content;
  const types = tokens.map(() => 1);
  for (const { id, special } of json.added_tokens) types[id] = special ? 3 : 4;
  return metadata({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': json.model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' '))),
    ...more,
  });
}
