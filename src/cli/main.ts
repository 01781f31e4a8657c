import { TesseraError } from '../errors';
import { benchCommand } from './commands/bench';
import { compareCommand } from './commands/compare';
import { embedCommand } from './commands/embed';
import { generateCommand } from './commands/generate';
import { inspectCommand } from './commands/inspect';
import { logitsCommand } from './commands/logits';
import { perplexityCommand } from './commands/perplexity';
import { selftestCommand } from './commands/selftest';
import { serveSimCommand } from './commands/serve_sim';
import { tokenizeCommand } from './commands/tokenize';
import { terminalMessage } from './flag_names';

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  generate: generateCommand,
  logits: logitsCommand,
  tokenize: tokenizeCommand,
  inspect: inspectCommand,
  selftest: selftestCommand,
  bench: benchCommand,
  compare: compareCommand,
  perplexity: perplexityCommand,
  embed: embedCommand,
  'serve-sim': serveSimCommand,
};

const USAGE = `tessera: language models on WebGPU

  tessera generate MODEL -p TEXT [--chat] [-n N] [--temperature T] [--top-k K] [--top-p P] [--min-p P] [--seed S] [SAMPLING]
                         [--n ANSWERS] [--beams N [--length-penalty X] [--early-stopping true|false|never]]
                         [--contrastive ALPHA [--top-k CANDIDATES]] [--guidance SCALE [--negative-prompt TEXT]]
                         [--dola | --dola-layers low|high|L,L,…] [--ngram] [--draft MODEL] [--draft-length N] [--draft-acceptance coupled|rejection]
                         [--context-overflow error|slide [--sinks N] [--window N]] [--load-session FILE] [--save-session FILE]
                         [--json-schema FILE | --grammar FILE | --regex EXPRESSION]
  tessera logits MODEL --tokens 1,2,3 [--top 10] [--greedy N]
  tessera tokenize MODEL (--text T | --file F) [--special]
  tessera perplexity MODEL --file F [--ctx 512]
  tessera embed MODEL (--text T | --tokens 1,2,3)
  tessera inspect MODEL
  tessera selftest [--variants [--slice 2/8]] [--seed S] [--filter TEXT]
  tessera bench MODEL [--quick] [--prefill 128,512,2048] [--depth 0,4096,16384] [--rows 1,2,4,8,16] [--decode 64] [--repeat 5]
                      [--max-seconds 10] [--selftest] [--profile]
  tessera bench --machine | --kernels [--filter TEXT]
  tessera serve-sim MODEL [--requests 96] [--concurrency 8] [--seed S] [--trace FILE]
  tessera compare MODEL --tokens 1,2,3

MODEL is a .gguf file (of a split one, any part), a folder with safetensors and config.json, the URL of either, a repository of the hub as
owner/repo[@REVISION][:FILE], or synthetic:SHAPE:FORMAT, for example synthetic:llama-3.2-1b:q4_0: random weights of that shape.
HF_ENDPOINT and HF_TOKEN in the environment say which hub, and who asks.
SAMPLING, all of it off by default (docs/kernels/sampling.md), is
  --samplers NAME,NAME,…               the order: penalties,dry,top_n_sigma,top_k,typ_p,top_p,min_p,xtc,temperature
  --repetition-penalty X --frequency-penalty X --presence-penalty X [--repeat-last-n N]
  --dry-multiplier X [--dry-base X] [--dry-allowed-length N] [--dry-penalty-last-n N] [--dry-sequence-breakers JSON]
  --top-n-sigma N --typical-p P --xtc-probability P [--xtc-threshold P] --dynatemp-range X [--dynatemp-exponent X]
  --mirostat 1|2 [--mirostat-tau BITS] [--mirostat-eta X]
Every command takes
  --json                               the result as one JSON object on standard output
  --backend webgpu|reference           compute on the GPU (default) or on the slow reference executor
  --without shader-f16,subgroups,…     pretend that the GPU lacks these features
  --default-limits                     use WebGPU's default limits only
where it makes a model ready
  --no-tune, --tune                    run the kernels' defaults; measure their variants on a software adapter too
  --ctx N                              context length in tokens
  --kv f32|f16|q8_0|q4_0               what the KV cache holds (default f16)
  --activations f32|f16                what lies between kernels (default f32); f16 needs shader-f16
  --quantize q8_0|q4_0                 float weights are quantised while they are loaded
Progress and notices go to standard error.
`;

/** @returns the exit status: 0, or 1 after one line on standard error that says what is wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (
    name === undefined ||
    name === '--help' ||
    name === '-h' ||
    name === 'help' ||
    rest.includes('--help') ||
    rest.includes('-h')
  ) {
    process.stdout.write(USAGE);
    return name === undefined ? 1 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`tessera: no command is called "${name}" (${Object.keys(COMMANDS).join(', ')})\n`);
    return 1;
  }
  try {
    await command(rest);
    return 0;
  } catch (error) {
    process.stderr.write(`tessera ${name}: ${terminalMessage(error, USAGE)}\n`);
    if (!(error instanceof TesseraError) && process.env['TESSERA_DEBUG']) console.error(error);
    return 1;
  }
}
