/** A Hugging Face model (config.json, safetensors, tokenizer.json) as one described model, read like a GGUF file. */
import { SourceError } from '../../errors';
import type { Gguf, GgufTensor } from '../gguf/gguf';
import { joinedSource } from '../joined_source';
import type { DescribedSource, ModelFolder } from '../model_files';
import { openCheckpoint, readSmallFile } from '../safetensors/checkpoint';
import { isJsonObject, type JsonValue, parseStrictJsonBytes } from '../strict_json';
import type { TokenizerFiles } from '../tokenizer_files';
import { Config } from './config';
import { describeTensors } from './describe_tensors';
import type { DescribedTensor } from './described_tensor';
import { FAMILIES } from './families';
import type { Family } from './family';
import { Metadata } from './metadata';
import { describeSentenceTransformers } from './sentence_transformers';

const MAX_CONFIG_BYTES = 4 << 20;
const MAX_TOKENIZER_BYTES = 128 << 20;

/**
 * Reads the configuration, the headers of the safetensors files behind `path` (a .safetensors file or its .index.json) and the tokenizer
 * of a folder; no weights. Rejects with InvalidFileError, UnsupportedModelError naming the model type, RoPE type, activation, tensor or
 * dtype that is not known, SourceError naming a missing file, or AbortedError.
 */
export async function openHuggingFaceModel(
  folder: ModelFolder,
  path: string,
  signal?: AbortSignal,
): Promise<DescribedSource> {
  const directory = path.slice(0, path.lastIndexOf('/') + 1);
  const read = async (name: string, limit: number): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    const source = await folder.open(directory + name, signal);
    return source && (await readSmallFile(source, limit, signal));
  };
  const configBytes = await read('config.json', MAX_CONFIG_BYTES);
  if (!configBytes) throw missing(folder, 'config.json');
  const { config, family, metadata, multimodal } = readConfig(configBytes, `${folder.name}: config.json`);
  const computed = family.describe(config, metadata);
  const dense = await describeSentenceTransformers(
    folder,
    directory,
    (name) => read(name, MAX_CONFIG_BYTES),
    metadata,
    signal,
  );
  const tokenizer = await readTokenizer(folder, read);
  describeTemplate(tokenizer, await read('chat_template.jinja', MAX_CONFIG_BYTES), metadata);
  metadata.general('general.name', { type: 'string', value: nameOf(folder) });
  const tensors = describeTensors(await openCheckpoint(folder, path, signal), computed, {
    family,
    config,
    numHeads: Number(metadata.entries.get(`${family.architecture}.attention.head_count`)?.value),
    numKvHeads: Number(metadata.entries.get(`${family.architecture}.attention.head_count_kv`)?.value),
    tied: config.has('tie_word_embeddings') ? config.flag('tie_word_embeddings', true) : undefined,
    multimodal,
  });
  return join(folder, metadata, [...tensors, ...dense], tokenizer);
}

function readConfig(
  bytes: Uint8Array,
  file: string,
): { config: Config; family: Family; metadata: Metadata; multimodal: boolean } {
  const json = parseStrictJsonBytes(bytes, file);
  const whole = new Config(isJsonObject(json) ? json : new Map(), file);
  const type = whole.text('model_type');
  const named = FAMILIES.get(type);
  if (!named) {
    throw whole.unsupported(
      `the model type "${type}" is not supported as safetensors (${[...FAMILIES.keys()].join(', ')}); it may be as a GGUF file`,
    );
  }
  const text = whole.nested('text_config');
  const config = text ?? whole;
  const family = named.variant?.(config) ?? named;
  const quantised = whole.nested('quantization_config');
  const method = quantised?.text('quant_method', 'unknown');
  if (method !== undefined && method !== family.quantisation) {
    throw whole.unsupported(`quantization_config.quant_method = "${method}" is not supported`);
  }
  config.expect(
    family.activationKey ?? (config.has('hidden_activation') ? 'hidden_activation' : 'hidden_act'),
    family.activations,
  );
  return { config, family, metadata: new Metadata(family.architecture), multimodal: text !== undefined };
}

async function readTokenizer(
  folder: ModelFolder,
  read: (name: string, limit: number) => Promise<Uint8Array<ArrayBuffer> | undefined>,
): Promise<TokenizerFiles> {
  const text = async (name: string): Promise<string | undefined> => {
    const bytes = await read(name, MAX_TOKENIZER_BYTES);
    return bytes && new TextDecoder().decode(bytes);
  };
  const tokenizerJson = await text('tokenizer.json');
  if (tokenizerJson === undefined) throw missing(folder, 'tokenizer.json');
  return {
    tokenizerJson,
    tokenizerConfig: await text('tokenizer_config.json'),
    generationConfig: await text('generation_config.json'),
  };
}

/** The template lies in a file of its own or in tokenizer_config.json, as one text or as several with names. */
function describeTemplate(tokenizer: TokenizerFiles, own: Uint8Array | undefined, metadata: Metadata): void {
  const template = own ? new TextDecoder().decode(own) : templateOf(tokenizer.tokenizerConfig);
  if (template !== undefined) metadata.general('tokenizer.chat_template', { type: 'string', value: template });
}

function templateOf(tokenizerConfig: string | undefined): string | undefined {
  if (tokenizerConfig === undefined) return undefined;
  const json = parseStrictJsonBytes(new TextEncoder().encode(tokenizerConfig), 'tokenizer_config.json');
  const found: JsonValue | undefined = isJsonObject(json) ? json.get('chat_template') : undefined;
  if (typeof found === 'string') return found;
  if (!Array.isArray(found)) return undefined;
  for (const entry of found as readonly JsonValue[]) {
    const template = isJsonObject(entry) && entry.get('name') === 'default' ? entry.get('template') : undefined;
    if (typeof template === 'string') return template;
  }
  return undefined;
}

/** One address space for all tensors, in the order in which they lie in the checkpoint. */
function join(
  folder: ModelFolder,
  metadata: Metadata,
  described: readonly DescribedTensor[],
  tokenizer: TokenizerFiles,
): DescribedSource {
  const tensors = new Map<string, GgufTensor>();
  let offset = 0;
  for (const { tensor } of described) {
    tensors.set(tensor.name, { ...tensor, offset });
    offset += tensor.byteLength;
  }
  const gguf: Gguf = {
    version: 3,
    alignment: 1,
    dataOffset: 0,
    metadata: metadata.entries,
    tensors,
    tokenizer,
  };
  const bytes = joinedSource(
    folder.name,
    described.map(({ bytes }) => bytes),
  );
  return { ...bytes, gguf };
}

function nameOf(folder: ModelFolder): string {
  return (
    folder.name
      .replace(/[/\\]+$/, '')
      .split(/[/\\]/)
      .pop() || folder.name
  );
}

function missing(folder: ModelFolder, file: string): SourceError {
  return new SourceError(`${folder.name}: ${file} is missing`, { details: { file } });
}
