import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main';

const DEMO = 'public/models/demo.q8_0.gguf';

afterEach(() => vi.restoreAllMocks());

/** Runs the command in this process on the reference executor. */
async function tessera(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
  const status = await main(args);
  vi.restoreAllMocks();
  return { status, out, err };
}

describe('tessera', () => {
  it('generates: json holds text, tokens and usage that fit together, and nothing else is on standard output', async () => {
    const args = ['generate', DEMO, '-p', 'Who are you?', '--chat', '-n', '12', '--backend', 'reference', '--json'];
    const { status, out } = await tessera(...args);
    expect(status).toBe(0);
    const result = JSON.parse(out);
    expect(result.tokens).toHaveLength(12);
    expect(result.finishReason).toBe('length');
    expect(result.usage).toMatchObject({
      prompt_tokens: result.promptTokens.length,
      completion_tokens: 12,
      total_tokens: result.promptTokens.length + 12,
    });
    expect(result.text).toMatch(/tiny demo model/);
  });

  it('holds what it generates to a schema, with guesses too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-'));
    const file = join(folder, 'schema.json');
    writeFileSync(
      file,
      JSON.stringify({ type: 'object', properties: { pets: { enum: ['none', 'a fox'] } }, required: ['pets'] }),
    );
    const args = [
      'generate',
      DEMO,
      '-p',
      'Hello!',
      '--chat',
      '--backend',
      'reference',
      '--json',
      '--json-schema',
      file,
    ];
    const plain = JSON.parse((await tessera(...args)).out);
    expect(['{"pets": "none"}', '{"pets": "a fox"}']).toContain(plain.text);
    expect(plain.finishReason).toBe('stop');
    const guessed = JSON.parse((await tessera(...args, '--ngram', '--draft-length', '3')).out);
    expect(guessed.tokens).toEqual(plain.tokens);
  });

  it('guesses with a draft model: the same tokens, and usage that adds up over all answers', async () => {
    const args = ['generate', DEMO, '-p', 'Who are you?', '--chat', '-n', '8', '--backend', 'reference', '--json'];
    const drafts = ['--draft', 'public/models/draft.q8_0.gguf', '--draft-length', '3'];
    const json = async (...more: string[]) => JSON.parse((await tessera(...args, ...more)).out);
    const [plain, one, two] = [await json(), await json(...drafts), await json(...drafts, '--n', '2')];
    expect(plain.usage).not.toHaveProperty('speculative');
    expect(plain.usage.cachedTokens).toBe(0);
    expect(one.tokens).toEqual(plain.tokens);
    expect(Object.keys(one.usage.speculative)).toEqual(['drafted', 'accepted', 'steps']);
    const { drafted, accepted, steps } = one.usage.speculative;
    expect(steps + accepted).toBe(7);
    // Greedy: both answers are the same.
    expect(two.usage.speculative).toEqual({ drafted: 2 * drafted, accepted: 2 * accepted, steps: 2 * steps });
  });

  it('streams the same text without --json, and reproduces it from a seed', async () => {
    const args = [
      'generate',
      DEMO,
      '-p',
      'Hello!',
      '--chat',
      '-n',
      '10',
      '--backend',
      'reference',
      '--temperature',
      '1',
      '--seed',
      '5',
    ];
    const plain = await tessera(...args);
    const json = JSON.parse((await tessera(...args, '--json')).out);
    expect(plain.out).toBe(`${json.text}\n`);
    expect(plain.err).toMatch(/tokens\/s/);
  });

  it('takes the sampler chain: any order, DRY with its breakers, mirostat', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '10', '--backend', 'reference', '--json'];
    const tokensOf = async (...more: string[]): Promise<number[]> =>
      JSON.parse((await tessera(...args, ...more)).out).tokens;
    const greedy = await tokensOf();
    const hot = ['--temperature', '3', '--seed', '1'];
    expect(await tokensOf(...hot, '--top-k', '1', '--samplers', 'temperature,top_k')).toEqual(greedy);
    expect(await tokensOf(...hot, '--xtc-probability', '1', '--xtc-threshold', '0.01')).not.toEqual(greedy);
    const mirostat = ['--temperature', '1', '--seed', '7', '--mirostat', '2', '--mirostat-tau', '3'];
    expect(await tokensOf(...mirostat)).toEqual(await tokensOf(...mirostat));

    const dry = ['-n', '24', '--dry-multiplier', '100', '--dry-allowed-length', '1'];
    const { promptTokens, tokens } = JSON.parse((await tessera(...args, ...dry, '--dry-sequence-breakers', '[]')).out);
    const all: number[] = [...promptTokens, ...tokens];
    const pairs = all.slice(1).map((token, i) => `${all[i]} ${token}`);
    // What follows a token never follows it again.
    tokens.forEach((_: number, i: number) => {
      const pair = promptTokens.length - 1 + i;
      expect(pairs.indexOf(pairs[pair])).toBe(pair);
    });
    const errors = [
      [['--mirostat', '2'], /--mirostat: needs a temperature above 0/],
      [['--top-k', '5', '--samplers', 'top_p,temperature'], /--samplers: top_k is set, and "top_k" is not in the list/],
      [['--samplers', 'top_q'], /--samplers: "top_q" is none/],
      [['--dry-sequence-breakers', 'x'], /--dry-sequence-breakers: "x" is not a list of strings in JSON/],
    ] as const;
    for (const [options, message] of errors) expect((await tessera(...args, ...options)).err).toMatch(message);
  });

  it('gives several answers to one prompt, the first that of the seed', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '6', '--backend', 'reference'];
    const sampled = [...args, '--temperature', '1.2', '--seed', '5'];
    const one = JSON.parse((await tessera(...sampled, '--json')).out);
    const three = JSON.parse((await tessera(...sampled, '--n', '3', '--json')).out);
    expect(three.choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
    expect(three.choices[0].tokens).toEqual(one.tokens);
    expect(new Set(three.choices.map(({ text }: { text: string }) => text)).size).toBeGreaterThan(1);
    expect(three.usage.prompt_tokens).toBe(one.usage.prompt_tokens);
    const { out } = await tessera(...args, '--n', '2');
    expect(out).toMatch(/^\[0\] (.+)\n\[1\] \1\n$/s);
  });

  it('searches contrastively', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '6', '--backend', 'reference', '--json'];
    const tokens = async (...more: string[]) => JSON.parse((await tessera(...args, ...more)).out).tokens;
    const found = await tokens('--contrastive', '0.9', '--top-k', '3');
    expect(found).toHaveLength(6);
    expect(found).not.toEqual(await tokens());
    expect((await tessera(...args, '--contrastive', '2')).err).toMatch(/--contrastive: 2 is not a number above 0/);
    expect((await tessera(...args, '--contrastive', '0.6', '--n', '2')).err).toMatch(/--n: 2 answers/);
  });

  it('guides away from another prompt', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '5', '--backend', 'reference', '--json'];
    const tokens = async (...more: string[]) => JSON.parse((await tessera(...args, ...more)).out).tokens;
    // Away from itself there is nowhere to go; less than nothing of itself is something else.
    expect(await tokens('--guidance', '3', '--negative-prompt', 'Hello!')).toEqual(await tokens());
    expect(await tokens('--guidance=-2', '--negative-prompt', 'Bye')).not.toEqual(await tokens());
    expect((await tessera(...args, '--guidance', '200')).err).toMatch(/--guidance: 200 is not a number from -100/);
    expect((await tessera(...args, '--negative-prompt', 'Bye')).err).toMatch(/--negative-prompt: goes with --guidance/);
  });

  it('contrasts layers', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '3', '--backend', 'reference'];
    const json = async (...more: string[]) => JSON.parse((await tessera(...args, '--json', ...more)).out).tokens;
    expect(await json('--dola')).toEqual(await json('--dola-layers', 'low'));
    expect(await json('--dola-layers', '0,1')).toHaveLength(3);
    expect((await tessera(...args, '--dola-layers', '0,99')).err).toMatch(/--dola-layers: 99 is not an integer from 0/);
    expect((await tessera(...args, '--dola', '--beams', '2')).err).toMatch(
      /--dola-layers: does not go with beam search/,
    );
  });

  it('calls options as the terminal does, whoever finds them wrong', async () => {
    const generate = ['generate', DEMO, '-p', 'Hello', '--backend', 'reference'];
    expect((await tessera(...generate, '--top-k', '2.5')).err).toMatch(/^tessera generate: --top-k: expected /);
    expect((await tessera(...generate, '--kv', 'q4_0', '--ctx', '0')).err).toMatch(/^tessera generate: --ctx: /);
    expect((await tessera(...generate, '--activations', 'q8_0')).err).toMatch(
      /--activations: "q8_0" is not one of f32/,
    );
    expect((await tessera(...generate, '--activations', 'f16')).err).toMatch(/--activations: f16 needs .*shader-f16/);
    expect((await tessera('inspect', DEMO, '--activations', 'f16')).err).toMatch(/^tessera inspect: --activations: /);
    const perplexity = ['perplexity', DEMO, '--file', 'package.json', '--backend', 'reference', '--ctx', '2'];
    expect((await tessera(...perplexity)).err).toMatch(/tessera perplexity: --ctx: 2 is too short/);
  });

  it('refuses options that a command has no use for', async () => {
    const { status, err } = await tessera('tokenize', DEMO, '--text', 'Hello', '--kv', 'f32');
    expect(status).toBe(1);
    expect(err).toMatch(/^tessera tokenize: --kv: Unknown option '--kv'/);
  });

  it('refuses an encoder that is to generate, and a decoder that is to embed', async () => {
    const encoder = 'tests/fixtures/models/bert-cls.gguf';
    const { status, err } = await tessera('generate', encoder, '-p', 'Hello', '--backend', 'reference');
    expect(status).toBe(1);
    expect(err).toMatch(/this model is an encoder/);
    expect((await tessera('embed', DEMO, '--text', 'Hello', '--backend', 'reference')).err).toMatch(/predicts tokens/);
  });

  it('searches with beams: the best hypothesis is at least as likely as the greedy answer, and says what goes with what', async () => {
    const args = ['generate', DEMO, '-p', 'Hello!', '--chat', '-n', '6', '--backend', 'reference', '--json'];
    const beams = ['--beams', '3', '--length-penalty', '0', '--early-stopping', 'never'];
    const found = JSON.parse((await tessera(...args, ...beams, '--n', '3')).out);
    const texts = found.choices.map(({ text }: { text: string }) => text);
    expect(new Set(texts).size).toBe(3);
    expect(texts).toContain(JSON.parse((await tessera(...args)).out).text);
    const refused = await tessera(...args, '--length-penalty', '2');
    expect(refused.status).not.toBe(0);
    expect(refused.err).toMatch(/^tessera generate: --length-penalty: goes with beam search/);
    const drawn = await tessera(...args, '--beams', '3', '--temperature', '1');
    expect(drawn.err).toMatch(/--temperature: does not go with beam search/);
    expect((await tessera(...args, '--beams', '30')).err).toMatch(/--beams: 30 is not an integer from 1/);
  });

  it('goes on with a conversation that was saved, without computing it again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-session-'));
    const file = join(folder, 'chat.session');
    const chat = ['generate', DEMO, '--chat', '-n', '8', '--backend', 'reference', '--json'];
    const first = JSON.parse((await tessera(...chat, '-p', 'Hello!', '--save-session', file)).out);
    const more = [...chat, '-p', 'Who are you?'];
    const second = JSON.parse((await tessera(...more, '--load-session', file, '--save-session', file)).out);
    expect(second.promptTokens.length).toBeGreaterThan(first.promptTokens.length + first.tokens.length);
    // Of an answer that was cut, the last token may be another in the whole text.
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens.length);
    expect(second.text).toMatch(/\w/);
    const third = JSON.parse((await tessera(...more, '--load-session', file)).out);
    expect(third.usage.cachedTokens).toBeGreaterThanOrEqual(second.promptTokens.length);
    writeFileSync(file, readFileSync(file).subarray(0, 5000));
    const cut = await tessera(...more, '--load-session', file);
    expect(cut.status).toBe(1);
    expect(cut.err).toMatch(/^tessera generate: saved conversation: /m);
    expect((await tessera(...more, '--load-session', join(folder, 'none'))).err).toMatch(/none cannot be read/);
    expect((await tessera(...more, '--save-session', file, '--n', '2')).err).toMatch(
      /--save-session: a session goes on/,
    );
    expect((await tessera('generate', DEMO, '-p', 'x', '--load-session', file)).err).toMatch(
      /--load-session: goes with/,
    );
    rmSync(folder, { recursive: true });
  });

  it('goes on beyond the context, and says what was dropped', async () => {
    const args = ['generate', DEMO, '-p', 'Once upon a time', '--ctx', '32', '--backend', 'reference', '--json'];
    const slide = [...args, '-n', '60', '--context-overflow', 'slide', '--sinks', '4', '--window', '16'];
    const { status, out } = await tessera(...slide);
    expect(status).toBe(0);
    const { tokens, promptTokens, usage } = JSON.parse(out);
    expect(tokens.length).toBe(60);
    // Every 12 tokens beyond 32; the newest one is never computed.
    const shifts = Math.ceil((promptTokens.length + 59 - 32) / 12);
    expect(usage.contextOverflow).toEqual({ shifts, droppedTokens: 12 * shifts });
    expect((await tessera(...args, '--sinks', '4')).err).toMatch(/--sinks: goes with --context-overflow slide/);
    expect((await tessera(...slide, '--window', '28')).err).toMatch(
      /--context-overflow: 4 tokens .* and 28 of the end/,
    );
    expect((await tessera(...args, '--context-overflow', 'shift')).err).toMatch(/--context-overflow: "shift"/);
    expect((await tessera(...slide, '--beams', '2')).err).toMatch(/--context-overflow: does not go with a search/);
  });

  it('gives log-probabilities for every prompt token, and the greedy continuation', async () => {
    const args = ['--tokens', '1,333,385', '--top', '4', '--greedy', '3', '--backend', 'reference', '--json'];
    const { status, out } = await tessera('logits', 'tests/fixtures/models/llama-gqa.gguf', ...args);
    expect(status).toBe(0);
    const { positions, greedy } = JSON.parse(out) as {
      positions: { position: number; top: [number, number][] }[];
      greedy: number[];
    };
    expect(positions.map(({ position }) => position)).toEqual([0, 1, 2]);
    for (const { top } of positions) {
      expect(top).toHaveLength(4);
      expect(top.every(([, logprob], i) => logprob < 0 && (i === 0 || logprob <= top[i - 1][1]))).toBe(true);
    }
    // The first greedy token is the best one after the last prompt token.
    expect(greedy).toHaveLength(3);
    expect(greedy[0]).toBe(positions[2].top[0][0]);
  });

  it('tokenizes text, with control tokens as text unless --special', async () => {
    const tokens = async (...flags: string[]) =>
      (
        JSON.parse((await tessera('tokenize', DEMO, '--text', '<|im_start|>', '--json', ...flags)).out) as {
          tokens: number[];
        }
      ).tokens;
    expect(await tokens('--special')).toHaveLength(1);
    expect((await tokens()).length).toBeGreaterThan(1);
  });

  it('inspects a file, and says why one cannot run', async () => {
    const demo = JSON.parse((await tessera('inspect', DEMO, '--json', '--ctx', '256')).out);
    expect(demo).toMatchObject({ architecture: 'llama', supported: true, contextLength: 256, parameters: 3672320 });
    // Q8_0 holds 34 bytes for 32 weights, and the planes are as large as the file's.
    expect(demo.memory.weights).toBeGreaterThan(3.6e6);
    // K and V, 4 layers, 4 heads of 32, 2 bytes; room for eight such contexts.
    expect(demo.memory.kv).toBe(2 * 4 * 4 * 32 * 256 * 2 * 8);
  });

  it('says when a text file is not UTF-8', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'tessera-text-')), 'latin1.txt');
    writeFileSync(path, 'caf\u00e9', 'latin1');
    const { status, out, err } = await tessera('tokenize', DEMO, '--file', path, '--json');
    expect(status).toBe(0);
    expect(err).toMatch(/latin1\.txt: not UTF-8/);
    expect(out).toBe((await tessera('tokenize', DEMO, '--text', 'caf\ufffd', '--json')).out);
  });

  it("embeds: llama.cpp's vector of tokens, of length 1, and a text's as that of its tokens with the control tokens around", async () => {
    const encoder = 'tests/fixtures/models/nomic-bert.gguf';
    const embed = async (...args: string[]): Promise<number[]> => {
      const { out } = await tessera('embed', encoder, ...args, '--backend', 'reference', '--json');
      return (JSON.parse(out) as { embedding: number[] }).embedding;
    };
    const [{ tokens, vector }] = (
      JSON.parse(readFileSync(encoder.replace('gguf', 'expected.json'), 'utf8')) as {
        prompts: { tokens: number[]; vector: number[] }[];
      }
    ).prompts;
    const found = await embed('--tokens', tokens.join(','));
    expect(Math.hypot(...found)).toBeCloseTo(1, 6);
    found.forEach((value, i) => expect(value).toBeCloseTo(vector[i] / Math.hypot(...vector), 3));

    const text = (
      JSON.parse((await tessera('tokenize', encoder, '--text', 'ab cd', '--json')).out) as { tokens: number[] }
    ).tokens;
    // [CLS] and [SEP], as the prompt of the fixture has them.
    const whole = [tokens[0], ...text, tokens[tokens.length - 1]];
    expect(await embed('--text', 'ab cd')).toEqual(await embed('--tokens', whole.join(',')));
  });

  it('looks into a file whose tokenizer and architecture it does not know', async () => {
    const bytes = readFileSync('tests/fixtures/models/llama-gqa.gguf').toString('latin1');
    const path = join(mkdtempSync(join(tmpdir(), 'tessera-inspect-')), 'odd.gguf');
    const odd = bytes.replace(/(?<=tokenizer\.ggml\.model.{12})\w{5}/s, 'oddly');
    writeFileSync(path, odd, 'latin1');
    const { status, out } = await tessera('inspect', path, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ architecture: 'llama', supported: false, tokenizer: { kind: 'oddly' } });
    expect(JSON.parse(out).reason).toMatch(/"oddly"/);
    expect(JSON.parse(out).tensors.length).toBeGreaterThan(10);
    expect((await tessera('inspect', path)).out).toMatch(/cannot run: .*"oddly"/);
  });

  it.each([
    [['generate', 'no-such-file.gguf', '-p', 'x'], /no-such-file\.gguf/],
    [['generate', DEMO], /-p/],
    [['generate', DEMO, '-p', 'x', '--bogus'], /--bogus/],
    [['generate', DEMO, '-p', 'x', '--temperature', 'hot'], /--temperature.*hot/],
    [['generate', DEMO, '-p', 'x', '--top-p', '3'], /--top-p: /],
    [['generate', DEMO, '-p', 'x', '--backend', 'cuda'], /--backend.*cuda/],
    [['generate', DEMO, '-p', 'word '.repeat(600), '--backend', 'reference'], /\d+ tokens.*512/],
    [['generate', DEMO, '-p', 'x', '--temperature', '-1'], /--temperature=-/],
    [['logits', DEMO, '--tokens', '1,x'], /--tokens.*x/],
    [['compare', DEMO, '--tokens', '1', '--backend', 'reference'], /--backend.*only webgpu/],
    [['perplexity', DEMO, '--file', 'package.json', '--ctx', '2', '--backend', 'reference'], /--ctx: 2 is too short/],
    [['inspect', 'http://[x'], /"http:\/\/\[x" is not a URL/],
    [['logits', DEMO, '--tokens', '99999', '--backend', 'reference'], /99999/],
    [['tokenize', DEMO], /--text/],
    [['tokenize', 'package.json', '--text', 'x'], /package\.json.*GGUF/],
    [['nonsense'], /nonsense/],
    [['generate', DEMO, '-p', 'x', '--ngram', '--draft-length', '16'], /--draft-length: 16 is not .* from 1 to 15/],
    [['generate', DEMO, '-p', 'x', '--draft-length', '3'], /--draft-length: goes with --draft or --ngram/],
    [['generate', DEMO, '-p', 'x', '--regex', 'a', '--grammar', 'x'], /--regex: does not go with --grammar/],
    [['generate', DEMO, '-p', 'x', '--json-schema', 'README.md'], /--json-schema: README\.md is no JSON/],
    [['generate', DEMO, '-p', 'x', '--regex', 'a', '--beams', '2'], /--beams: does not go with/],
    [['generate', DEMO, '-p', 'x', '--regex', 'a)', '--backend', 'reference'], /--regex: .*character 2/],
  ])('exits with 1 and one line for %j', async (args, message) => {
    const { status, out, err } = await tessera(...args);
    expect(status).toBe(1);
    expect(out).toBe('');
    const lines = err.trim().split('\n');
    expect(lines[lines.length - 1]).toMatch(message);
    expect(lines.filter((line) => line.startsWith('tessera'))).toHaveLength(1);
  });
});
