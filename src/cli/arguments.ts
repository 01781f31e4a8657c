import { type ParseArgsConfig, parseArgs } from 'node:util';
import { InvalidOptionError } from '../errors';
import { messageOf } from '../errors/message_of';
import { QUANTIZE_FORMATS, type QuantizeFormat } from '../formats/quantize_on_load';
import type { MaskableFeature } from '../gpu/capabilities';
import { ACTIVATION_TYPES, type ActivationType, KV_TYPES, type KvType } from '../ops/op';

type OptionTable = NonNullable<ParseArgsConfig['options']>;

/** What every command takes. */
const GENERAL = {
  json: { type: 'boolean' },
  backend: { type: 'string' },
  without: { type: 'string' },
  'default-limits': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionTable;

/** What a command takes that makes a model ready, or says what it would need. */
const LOADING = {
  ctx: { type: 'string' },
  kv: { type: 'string' },
  activations: { type: 'string' },
  quantize: { type: 'string' },
  tune: { type: 'boolean' },
  'no-tune': { type: 'boolean' },
} as const satisfies OptionTable;

const FEATURES: readonly MaskableFeature[] = ['shader-f16', 'subgroups', 'dot4', 'subgroup-matrix', 'timestamp-query'];

/** The options of one call, with typed reads that name the option when its value is bad. */
export class Arguments {
  private constructor(
    private readonly values: Readonly<Record<string, string | boolean | undefined>>,
    readonly positionals: readonly string[],
  ) {}

  /** `loads`: the command makes a model ready; options for that mean nothing to the others, and are refused. */
  static parse(args: readonly string[], own: OptionTable, { loads = true } = {}): Arguments {
    try {
      const { values, positionals } = parseArgs({
        args: [...args],
        options: { ...GENERAL, ...(loads && LOADING), ...own },
        allowPositionals: true,
        strict: true,
      });
      return new Arguments(values as Record<string, string | boolean | undefined>, positionals);
    } catch (error) {
      const message = messageOf(error);
      const oneLine = message.replaceAll('\n', ' ');
      throw new InvalidOptionError(/'(-[^' ]+)/.exec(oneLine)?.[1] ?? 'arguments', oneLine, { cause: error });
    }
  }

  /** The only positional argument: where a model is (see openSource). */
  model(): string {
    const [model, extra] = this.positionals;
    if (model === undefined) throw new InvalidOptionError('MODEL', 'a path, a URL or owner/repo is missing');
    if (extra !== undefined) throw new InvalidOptionError(extra, 'unexpected argument');
    return model;
  }

  flag(name: string): boolean {
    return this.values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.values[name];
    return typeof value === 'string' ? value : undefined;
  }

  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      throw new InvalidOptionError(`--${name}`, `"${text}" is not a number`);
    return value;
  }

  integer(name: string, minimum: number): number | undefined {
    const value = this.number(name);
    if (value === undefined) return undefined;
    if (!Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidOptionError(`--${name}`, `${value} is not an integer of at least ${minimum}`);
    }
    return value;
  }

  /** A list like 128,512; `none` is an empty one. */
  integers(name: string, minimum: number): number[] | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (text === 'none') return [];
    return text.split(',').map((part) => {
      const value = part.trim() === '' ? Number.NaN : Number(part);
      if (!Number.isSafeInteger(value) || value < minimum) {
        throw new InvalidOptionError(`--${name}`, `"${part}" is not an integer of at least ${minimum}`);
      }
      return value;
    });
  }

  get json(): boolean {
    return this.flag('json');
  }

  get backend(): 'webgpu' | 'reference' {
    const value = this.text('backend') ?? 'webgpu';
    if (value !== 'webgpu' && value !== 'reference') {
      throw new InvalidOptionError('--backend', `"${value}" is neither webgpu nor reference`);
    }
    return value;
  }

  get without(): MaskableFeature[] {
    const names = (this.text('without') ?? '').split(',').filter((name) => name !== '');
    return names.map((name) => {
      const feature = FEATURES.find((known) => known === name.trim());
      if (!feature) throw new InvalidOptionError('--without', `"${name}" is not one of ${FEATURES.join(', ')}`);
      return feature;
    });
  }

  get quantize(): QuantizeFormat | undefined {
    const name = this.text('quantize');
    if (name === undefined) return undefined;
    const format = QUANTIZE_FORMATS.find((known) => known === name.toLowerCase());
    if (!format) throw new InvalidOptionError('--quantize', `"${name}" is not one of ${QUANTIZE_FORMATS.join(', ')}`);
    return format;
  }

  /** --tune measures on software adapters too, --no-tune nowhere. */
  get tune(): 'auto' | 'always' | 'never' {
    if (this.flag('no-tune')) return 'never';
    return this.flag('tune') ? 'always' : 'auto';
  }

  get kvType(): KvType | undefined {
    const name = this.text('kv');
    if (name === undefined) return undefined;
    const type = KV_TYPES.find((known) => known === name.toLowerCase());
    if (!type) throw new InvalidOptionError('--kv', `"${name}" is not one of ${KV_TYPES.join(', ')}`);
    return type;
  }

  get activationType(): ActivationType | undefined {
    const name = this.text('activations');
    if (name === undefined) return undefined;
    const type = ACTIVATION_TYPES.find((known) => known === name.toLowerCase());
    if (!type) throw new InvalidOptionError('--activations', `"${name}" is not one of ${ACTIVATION_TYPES.join(', ')}`);
    return type;
  }

  get contextLength(): number | undefined {
    return this.integer('ctx', 1);
  }
}
