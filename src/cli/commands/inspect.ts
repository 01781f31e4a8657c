import { InvalidFileError, InvalidOptionError, UnsupportedModelError } from '../../errors';
import { type Gguf, optionalString } from '../../formats/gguf/gguf';
import { describeModel, type ModelDescription } from '../../model/describe_model';
import { readHeader } from '../../model/origin';
import { templateOf } from '../../tokenizer/chat_template';
import { loadTokenizer } from '../../tokenizer/load_tokenizer';
import { Arguments } from '../arguments';
import { openSource } from '../open_source';
import { formatBytes, printJson, printLine, table } from '../output';

/** Reads a file's header and says what is in it and what running it would need; loads no weights. */
export async function inspectCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {});
  const source = await openSource(args.model());
  const gguf = await readHeader(source, { quantize: args.quantize });
  const { backend, contextLength, kvType } = args;
  if (args.activationType === 'f16') {
    throw new InvalidOptionError('--activations', 'no device is opened here that could have shader-f16');
  }
  const model = await orReason(() => describeModel(gguf, { backend, contextLength, kvType }));
  const text = await orReason(() => textOf(gguf));
  const { value: description } = model;
  const reason = model.reason ?? text.reason;
  const types = storageTypes(gguf);
  if (args.json) {
    printJson({
      file: { name: source.name, bytes: source.size, ...(gguf.tokenizer ? {} : { ggufVersion: gguf.version }) },
      architecture: optionalString(gguf, 'general.architecture'),
      name: optionalString(gguf, 'general.name'),
      ...description,
      supported: reason === undefined,
      reason,
      tensors: [...gguf.tensors.values()].map(({ name, type, shape, byteLength }) => ({
        name,
        type,
        shape,
        byteLength,
      })),
      storageTypes: types,
      tokenizer: {
        kind: optionalString(gguf, 'tokenizer.ggml.model'),
        pre: optionalString(gguf, 'tokenizer.ggml.pre'),
        ...text.value?.tokenizer,
      },
      template: text.value?.template,
    });
    return;
  }
  printLine(
    `${source.name}: ${formatBytes(source.size)}, ${gguf.tokenizer ? 'safetensors' : `GGUF version ${gguf.version}`}`,
  );
  if (reason !== undefined) printLine(`cannot run: ${reason}`);
  printLine(table(summary(gguf, description)));
  const kind = optionalString(gguf, 'tokenizer.ggml.model') ?? 'tokenizer.json';
  printLine(`tokenizer  ${kind}${text.value ? `, ${text.value.tokenizer.vocabSize} tokens` : ''}`);
  if (text.value) {
    const { name, text: template } = text.value.template;
    const origin = name ? `none in the file; the default "${name}"` : 'from the file';
    printLine(`template   ${origin}, ${template.length} characters`);
  }
  printLine('\nstorage types');
  printLine(table(types.map(({ type, tensors, bytes }) => [`  ${type}`, tensors, 'tensors', formatBytes(bytes)])));
  printLine('\ntensors');
  printLine(
    table(
      [...gguf.tensors.values()].map((tensor) => [`  ${tensor.name}`, tensor.type, `[${tensor.shape.join(', ')}]`]),
    ),
  );
}

/** A file that cannot run can still be looked into: then `reason` says why. */
async function orReason<T>(read: () => T | Promise<T>): Promise<{ value?: T; reason?: string }> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof UnsupportedModelError || error instanceof InvalidFileError) return { reason: error.message };
    throw error;
  }
}

async function textOf(gguf: Gguf) {
  const tokenizer = await loadTokenizer(gguf);
  const { template, isDefault, name } = templateOf(gguf, tokenizer);
  const { vocabSize, bos, eos, stopTokens } = tokenizer;
  return {
    tokenizer: { vocabSize, bos, eos, stopTokens: [...stopTokens] },
    template: { text: template, default: isDefault, name },
  };
}

function summary(gguf: Gguf, model: ModelDescription | undefined): (string | number)[][] {
  const tensors = ['tensors', String(gguf.tensors.size)];
  if (!model) {
    const unknown = 'not in the file';
    return [
      ['model', optionalString(gguf, 'general.name') ?? unknown],
      ['architecture', optionalString(gguf, 'general.architecture') ?? unknown],
      tensors,
    ];
  }
  const { memory } = model;
  return [
    ['model', model.name],
    ['architecture', `${model.architecture}, ${model.numLayers} layers, hidden size ${model.hiddenSize}`],
    ['parameters', model.parameters.toLocaleString('en')],
    ['context', `${model.contextLength} of ${model.trainedContextLength} trained`],
    [
      'memory',
      `${formatBytes(memory.total)}: weights ${formatBytes(memory.weights)}, KV cache ${formatBytes(memory.kv)}, scratch ${formatBytes(memory.scratch)}`,
    ],
    tensors,
  ];
}

function storageTypes(gguf: Gguf): { type: string; tensors: number; bytes: number }[] {
  const found = new Map<string, { type: string; tensors: number; bytes: number }>();
  for (const tensor of gguf.tensors.values()) {
    const entry = found.get(tensor.type) ?? { type: tensor.type, tensors: 0, bytes: 0 };
    entry.tensors++;
    entry.bytes += tensor.byteLength;
    found.set(tensor.type, entry);
  }
  return [...found.values()];
}
