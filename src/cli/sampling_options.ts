import type { SamplingSettings } from '../engine/runner';
import { parseSampling } from '../engine/sampling';
import { InvalidOptionError } from '../errors';
import type { Arguments } from './arguments';

/** Options of the SDK that are numbers, spelled with hyphens. */
const NUMBERS = [
  'temperature',
  'dynatemp-range',
  'dynatemp-exponent',
  'top-k',
  'top-p',
  'min-p',
  'typical-p',
  'top-n-sigma',
  'xtc-probability',
  'xtc-threshold',
  'mirostat',
  'mirostat-tau',
  'mirostat-eta',
  'repetition-penalty',
  'frequency-penalty',
  'presence-penalty',
  'repeat-last-n',
  'dry-multiplier',
  'dry-base',
  'dry-allowed-length',
  'dry-penalty-last-n',
  'seed',
] as const;

type SamplingOption = (typeof NUMBERS)[number] | 'samplers' | 'dry-sequence-breakers';

/** What the sampler is told in the terminal. */
export const SAMPLING_OPTIONS = Object.fromEntries(
  [...NUMBERS, 'samplers', 'dry-sequence-breakers'].map((name) => [name, { type: 'string' }]),
) as Readonly<Record<SamplingOption, { readonly type: 'string' }>>;

/** The settings that the options ask for; greedy without any. Throws InvalidOptionError. */
export function readSampling(args: Arguments): SamplingSettings {
  const options: Record<string, unknown> = {};
  for (const name of NUMBERS) options[fieldOf(name)] = args.number(name);
  options['samplers'] = args
    .text('samplers')
    ?.split(/[,;]/)
    .filter((name) => name !== '');
  options['dry_sequence_breakers'] = readStrings(args, 'dry-sequence-breakers');
  return parseSampling(options);
}

function fieldOf(option: string): string {
  return option.replaceAll('-', '_');
}

/** A list of strings as JSON, e.g. '["\n", "."]'. */
function readStrings(args: Arguments, name: string): unknown {
  const text = args.text(name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidOptionError(`--${name}`, `${JSON.stringify(text)} is not a list of strings in JSON`, { cause });
  }
}
