import { beforeAll, describe, expect, it, vi } from 'vitest';
import { InvalidOptionError } from '../../../src/errors';
import { Grammars } from '../../../src/structured/grammars';
import type { ResponseFormat } from '../../../src/structured/response_format';
import { createTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer';
import { demoModel } from '../../support/demo_model';
import { validate } from '../../support/json_validator';
import { randomSchema } from '../../support/random_schema';
import { pick, seeded } from '../../support/seeded';
import {
  fixtures,
  ggufFromTokenizerJson,
  hasFixtures,
  openGguf,
  readQwenTokenizerJson,
} from '../tokenizer/support/files';
import { accepts, RandomWriter } from './random_answer';

const ofFile = (name: string) => async () =>
  createTokenizer(await openGguf(new URL(`ggml-vocab-${name}.gguf`, fixtures)));
const ofDemo = async () => (await demoModel()).tokenizer;

const VOCABULARIES: readonly (readonly [name: string, open: () => Promise<Tokenizer>, answers: number])[] = [
  ['SentencePiece with bytes, the demo model', ofDemo, 30],
  ...(hasFixtures
    ? ([
        ['SentencePiece with bytes, llama', ofFile('llama-spm'), 12],
        ['SentencePiece with user-defined tokens, phi-3', ofFile('phi-3'), 12],
        ['byte-level BPE, gpt-2', ofFile('gpt-2'), 12],
        ['byte-level BPE without a merge across spaces, falcon', ofFile('falcon'), 12],
        [
          'byte-level BPE of 151,000 tokens, qwen2.5',
          async () => createTokenizer(ggufFromTokenizerJson(readQwenTokenizerJson(), 'qwen2')),
          8,
        ],
      ] as const)
    : []),
];

const asSchema = (schema: unknown, strict?: boolean): ResponseFormat => ({
  type: 'json_schema',
  json_schema: { schema, strict },
});

describe.each(VOCABULARIES)('with the vocabulary of %s', (_, open, answers) => {
  let tokenizer: Tokenizer;
  let grammars: Grammars;
  let writer: RandomWriter;

  beforeAll(async () => {
    tokenizer = await open();
    // Models have more logits than their tokenizer has tokens.
    grammars = new Grammars(tokenizer, tokenizer.vocabSize + 40);
    writer = new RandomWriter(tokenizer, tokenizer.vocabSize + 40);
  });

  async function write(format: ResponseFormat, random: () => number): Promise<string> {
    const [constraint] = await grammars.constraints(format, 1);
    try {
      return tokenizer.decode(writer.write(constraint, random));
    } finally {
      constraint.dispose();
    }
  }

  it('whatever is chosen parses and validates', async () => {
    for (let seed = 0; seed < answers; seed++) {
      const random = seeded(seed);
      const schema = randomSchema(random);
      const text = await write(asSchema(schema), random);
      const context = `${seed} ${JSON.stringify(schema)}: ${text}`;
      expect(validate(JSON.parse(text), schema), context).toEqual([]);
    }
  });

  it('whatever is chosen matches the expression, with and without a space where text begins', async () => {
    for (const regex of [
      '[ -~]{1,9}',
      '(é|è|ü{2}|ß.){2,3}',
      ' ?[à-ÿ]{1,3} *',
      '\\S[\\w ]{0,4}\\d',
      'a{2,}b|(?:c|de){1,3}f?',
      '[^a-ÿ]{3}',
    ]) {
      for (let seed = 0; seed < 4; seed++) {
        const text = await write({ type: 'regex', regex }, seeded(seed));
        expect(text).toMatch(new RegExp(`^(?:${regex})$`, 'u'));
      }
    }
  });

  it('takes a text as the tokenizer cuts it', async () => {
    const format = asSchema({ type: 'object', properties: { größe: { type: 'string' }, n: { type: 'number' } } });
    const [yes, no] = await grammars.constraints(format, 2);
    expect(accepts(tokenizer, yes, '{"größe": "1,80 m 🦊 \\u00e9\\n", "n": -12.5e3}')).toBe(true);
    expect(accepts(tokenizer, no, '{"größe": "1,80 m", "m": 1}')).toBe(false);
    for (const constraint of [yes, no]) constraint.dispose();
  });
});

describe('formats', () => {
  let tokenizer: Tokenizer;
  let grammars: Grammars;

  beforeAll(async () => {
    tokenizer = await ofDemo();
    grammars = new Grammars(tokenizer, tokenizer.vocabSize);
  });

  async function takes(format: ResponseFormat, text: string): Promise<boolean> {
    const [constraint] = await grammars.constraints(format, 1);
    const accepted = accepts(tokenizer, constraint, text);
    constraint.dispose();
    return accepted;
  }

  it.each([
    [
      'json_object is any object',
      { type: 'json_object' },
      ['{}', '{"a": [1, {"b": null}], "": "\\"x\\""}'],
      ['[]', '1', '{"a": 1', "{'a': 1}", '{"a": 01}', '{"a":\n1}'],
    ],
    [
      'alternatives that share their middles',
      { type: 'regex', regex: '[0-9]|[1-9][0-9]|-[1-9]|-[1-9][0-9]|-[1-9][0-9][0-9]' },
      ['7', '76', '-761'],
      ['761', '-7611', ''],
    ],
    [
      'a grammar with characters outside of ASCII',
      { type: 'grammar', grammar: '# [comment\nroot ::= [äöü]+ | "[x]" rest\nrest ::= [^a-zé\\]\\u00e8]{2}' },
      ['äöü', '[x]A1', '[x]êñ'],
      ['ä[', 'ãã', '[x]Aé', '[x]Aè', '[x]a1', '[x]A'],
    ],
    [
      'an expression is anchored, and may say so',
      { type: 'regex', regex: '^yes$|^no$' },
      ['yes', 'no'],
      ['yes no', 'maybe'],
    ],
    [
      'strict objects have what they list',
      asSchema({ type: 'object', properties: { a: {} } }),
      ['{}', '{"a": [true]}'],
      ['{"b": 1}'],
    ],
    [
      'others may have more, never a listed name twice',
      asSchema({ type: 'object', properties: { an: { const: 1 } } }, false),
      ['{"b": 1}', '{"an": 1, "a": 2, "ann": 3}'],
      ['{"an": 2}', '{"b": 1, "an": 2}'],
    ],
    [
      'a recursive schema',
      asSchema({
        $ref: '#/$defs/tree',
        $defs: {
          tree: {
            type: 'object',
            properties: { of: { type: 'array', items: { $ref: '#/$defs/tree' } } },
            required: ['of'],
          },
        },
      }),
      ['{"of": [{"of": []}, {"of": []}]}'],
      ['{"of": [{}]}'],
    ],
    [
      'numbers between bounds',
      asSchema({ type: 'number', exclusiveMinimum: -1.5, maximum: 20 }),
      ['-1.4', '0', '20', '19.99', '-1.49'],
      ['-1.5', '20.1', '21', '-2'],
    ],
    [
      'lengths in characters, not bytes',
      asSchema({ type: 'string', minLength: 2, maxLength: 3 }),
      ['"🦊🦊"', '"é\\u00e9\\n"'],
      ['"🦊"', '"abcd"'],
    ],
    [
      'many repetitions',
      asSchema({ type: 'string', minLength: 140, maxLength: 300 }),
      [`"${'é🦊'.repeat(75)}"`, `"${'a'.repeat(300)}"`],
      [`"${'a'.repeat(139)}"`, `"${'a'.repeat(301)}"`],
    ],
  ] as const)('%s', async (_, format, right, wrong) => {
    for (const text of right) expect(await takes(format as ResponseFormat, text), text).toBe(true);
    for (const text of wrong) expect(await takes(format as ResponseFormat, text), text).toBe(false);
  });

  it('agrees with JavaScript about random expressions', async () => {
    const sets = ['a', 'é', '🦊', '1', '[ab]', '[^aé]', '[à-ÿ]', '.', '\\w', '\\S'];
    for (let seed = 0; seed < 80; seed++) {
      const random = seeded(seed);
      const expression = (depth: number): string => {
        const kind = depth === 0 ? 0 : random();
        if (kind < 0.3) return pick(random, sets);
        const [one, other] = [expression(depth - 1), expression(depth - 1)];
        if (kind < 0.55) return one + other;
        return kind < 0.75
          ? `(${one}|${other})`
          : `(?:${one})${pick(random, ['*', '+', '?', '{1,3}', '{2,}', '{5,7}'])}`;
      };
      const regex = expression(4);
      for (let i = 0; i < 8; i++) {
        const letters = Array.from({ length: 1 + Math.floor(random() * 6) }, () =>
          pick(random, ['a', 'b', 'é', 'ã', '🦊', '1']),
        );
        const text = letters.join('');
        const matches = new RegExp(`^(?:${regex})$`, 'u').test(text);
        expect(await takes({ type: 'regex', regex }, text), `${regex} on ${text}`).toBe(matches);
      }
    }
  });

  it('agrees with arithmetic about random bounds', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = seeded(seed);
      const number = (): number =>
        Number(((random() - 0.5) * pick(random, [4, 30, 5000])).toFixed(pick(random, [0, 1, 3])));
      const [low, higher] = [number(), number()].toSorted((a, b) => a - b);
      const high = Number((higher + 0.5).toFixed(3));
      const above = pick(random, ['minimum', 'exclusiveMinimum']);
      const below = pick(random, ['maximum', 'exclusiveMaximum']);
      const format = asSchema({ type: 'number', [above]: low, [below]: high });
      for (const value of [low, high, (low + high) / 2, low - 0.01, low + 0.01, high + 0.1, number()].map((x) =>
        Number(x.toFixed(4)),
      )) {
        const fits =
          (above === 'minimum' ? value >= low : value > low) && (below === 'maximum' ? value <= high : value < high);
        expect(await takes(format, String(value)), `${JSON.stringify(format)} on ${value}`).toBe(fits);
      }
    }
  });

  it.each([
    [
      asSchema({ type: 'object', properties: { a: { type: 'strin' } } }),
      'response_format.json_schema.schema',
      '#/properties/a: "type"',
    ],
    [
      asSchema({ type: 'string', contentEncoding: 'base64' }),
      'response_format.json_schema.schema',
      '"contentEncoding" is not supported',
    ],
    [asSchema({ not: {} }), 'response_format.json_schema.schema', '"not" is not supported'],
    [
      asSchema({ type: 'number', multipleOf: 3 }),
      'response_format.json_schema.schema',
      '"multipleOf" is not supported',
    ],
    [asSchema({ type: 'string', pattern: 'a(?=b)' }), 'response_format.json_schema.schema', 'lookaround'],
    [asSchema({ $ref: '#/$defs/none' }), 'response_format.json_schema.schema', 'there is no such place'],
    [asSchema({ $ref: '#' }), 'response_format.json_schema.schema', 'refers to itself'],
    [asSchema({ oneOf: [{ type: 'number' }, { minimum: 3 }] }), 'response_format.json_schema.schema', '"oneOf"'],
    [asSchema(false), 'response_format.json_schema.schema', 'allows no value'],
    [
      asSchema({ type: 'integer', minimum: 1.2, maximum: 1.8 }),
      'response_format.json_schema.schema',
      'no integer is in its range',
    ],
    [{ type: 'regex', regex: '(a' }, 'response_format.regex', 'a parenthesis is not closed, at character 3'],
    [{ type: 'regex', regex: 'a\\b' }, 'response_format.regex', '"\\b" is not supported'],
    [{ type: 'regex', regex: '' }, 'response_format.regex', 'allows nothing but an empty answer'],
    [
      { type: 'grammar', grammar: 'root ::= "yes" |\n  nix' },
      'response_format.grammar',
      'line 2, column 3: Rule "nix" is not defined',
    ],
    [{ type: 'grammar', grammar: 'start ::= "yes"' }, 'response_format.grammar', 'root'],
    [{ type: 'grammar', grammar: 'root ::= root "a"' }, 'response_format.grammar', 'allows no answer'],
  ] as const)('%j is refused, and the next one is not', async (format, field, reason) => {
    const refused = grammars.constraints(format as ResponseFormat, 1).catch((error: unknown) => error);
    const error = (await refused) as InvalidOptionError;
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect(error.field).toBe(field);
    expect(error.message).toContain(reason);
    expect(await takes({ type: 'regex', regex: '[ab]c' }, 'ac')).toBe(true);
  });

  it('says so where WebAssembly is not allowed, and works when it is', async () => {
    const others = new Grammars(tokenizer, tokenizer.vocabSize);
    const forbidden = vi.spyOn(WebAssembly, 'instantiate').mockRejectedValue(new WebAssembly.CompileError('by policy'));
    const refused = others.constraints({ type: 'json_object' }, 1);
    await expect(refused).rejects.toThrow(/response_format: needs WebAssembly.*by policy/);
    forbidden.mockRestore();
    const [constraint] = await others.constraints({ type: 'json_object' }, 1);
    expect(accepts(tokenizer, constraint, '{}')).toBe(true);
    constraint.dispose();
  });

  it('goes on with an answer while another format is refused', async () => {
    const [constraint] = await grammars.constraints({ type: 'regex', regex: 'yes, (yes|no)!' }, 1);
    const tokens = tokenizer.encode('yes, no!', { bos: false });
    constraint.accept(tokens[0]);
    await expect(grammars.constraints({ type: 'grammar', grammar: 'root ::= (' }, 1)).rejects.toThrow(
      InvalidOptionError,
    );
    expect(await takes({ type: 'regex', regex: 'a' }, 'a')).toBe(true);
    for (const token of tokens.slice(1)) constraint.accept(token);
    expect(constraint.next()).toEqual({ kind: 'end' });
    constraint.dispose();
  });

  it('goes back over tokens that were guessed', async () => {
    const [constraint] = await grammars.constraints({ type: 'regex', regex: '(yes|no), (yes|no)!' }, 1);
    const tokens = tokenizer.encode('yes, no!', { bos: false });
    for (const token of tokens.slice(0, 2)) constraint.accept(token);
    const before = constraint.next();
    for (const token of tokens.slice(2)) constraint.accept(token);
    expect(constraint.next()).toEqual({ kind: 'end' });
    constraint.rollback(tokens.length - 2);
    expect(constraint.next()).toEqual(before);
    for (const token of tokens.slice(2)) constraint.accept(token);
    expect(constraint.next()).toEqual({ kind: 'end' });
    constraint.dispose();
  });

  it('forces what is forced in the tokens that the tokenizer would take, and no further', async () => {
    const [constraint] = await grammars.constraints(
      asSchema({ type: 'object', properties: { description: { type: 'boolean' } }, required: ['description'] }),
      1,
    );
    // The first one may begin with a space or not.
    const whole = tokenizer.encode('{"description": true}', { bos: false });
    const output = whole.slice(0, 1);
    constraint.accept(output[0]);
    const forced = constraint.forced();
    for (const token of forced) constraint.accept(token);
    output.push(...forced);
    expect(forced.length).toBeGreaterThan(1);
    expect(whole.slice(0, output.length)).toEqual(output);
    expect(tokenizer.decode(output)).not.toMatch(/[tf]$/);
    constraint.dispose();
  });
});
