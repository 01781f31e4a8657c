import { describe, expect, it } from 'vitest';
import { GREEDY, type SamplingSettings } from '../../src/engine/runner';
import { PipelineCache } from '../../src/gpu/pipelines';
import { allShaderSources } from '../../src/gpu/shader_sources';
import { readBuffer } from '../../src/model/read_buffer';
import { floatBits } from '../../src/ops/sample/record';
import { philox, uniformAt } from '../../src/ops/sample/rng';
import { rowAt, SamplerHarness } from './sample_harness';
import { BARE, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const ROWS = 1000;
const DRAWS = 20_000;
/** Of ROWS guesses each. */
const JUDGED_STEPS = 8;
const PROBABILITIES = [0.02, 0.2, 0.01, 0.09, 0.05, 0.3, 0.003, 0.11, 0.14, 0.017, 0.04, 0.02];

/** The value that chi-squared exceeds once in a million (Wilson & Hilferty 1931). */
function chiSquaredLimit(degrees: number): number {
  const spread = 2 / (9 * degrees);
  return degrees * (1 - spread + 4.75 * Math.sqrt(spread)) ** 3;
}

/** Probabilities by hand: drop, sharpen, normalise. Only settings whose borders lie between the values above. */
function expectedProbabilities(keep: (p: number) => boolean, temperature: number): number[] {
  const weights = PROBABILITIES.map((p) => (keep(p) ? p ** (1 / temperature) : 0));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

function expectToFollow(drawn: Uint32Array, draws: number, expected: readonly number[], label: string): void {
  let chiSquared = 0;
  expected.forEach((p, token) => {
    if (p === 0) expect(drawn[token], `${label}: token ${token} was to be dropped`).toBe(0);
    else chiSquared += (drawn[token] - p * draws) ** 2 / (p * draws);
  });
  const degrees = expected.filter((p) => p > 0).length - 1;
  expect(chiSquared, `${label}, seed ${SEED}, drawn ${drawn.join(' ')}`).toBeLessThan(chiSquaredLimit(degrees));
}

/** log of the values above: deviation 1.2985, best -1.204. Their entropy is 1.9856 nats of at most 2.4849. */
const CHAINS: readonly { readonly settings: Partial<SamplingSettings>; readonly expected: readonly number[] }[] = [
  // Down to exp(-1.204 - 1.2 · 1.2985) = 0.063.
  { settings: { topNSigma: 1.2 }, expected: expectedProbabilities((p) => p > 0.063, 1) },
  // By |-ln p - 1.9856|: 0.14, 0.11, 0.2, 0.09 are 0.54 together, and 0.45 without the last.
  { settings: { typicalP: 0.5 }, expected: expectedProbabilities((p) => p >= 0.09 && p < 0.3, 1) },
  // Four times in ten 0.3, 0.2 and 0.14 are left out, and 0.11 is not.
  {
    settings: { xtcProbability: 0.4, xtcThreshold: 0.1 },
    expected: expectedProbabilities((p) => p < 0.14, 1).map((p, t) => 0.4 * p + 0.6 * PROBABILITIES[t]),
  },
  // 0.5 + (1.9856 / 2.4849)² · 1 = 1.1385
  {
    settings: { temperature: 1, dynatempRange: 0.5, dynatempExponent: 2 },
    expected: expectedProbabilities(() => true, 1.138516),
  },
  // At temperature 2 the best five have 0.669 of the whole and the best four 0.568; before it two had 0.5.
  {
    settings: { temperature: 2, topP: 0.6, samplers: ['temperature', 'top_p'] },
    expected: expectedProbabilities((p) => p >= 0.09, 2),
  },
  // The exponent of the fall is 1.66: at 3.4 bits 4.2 tokens are kept.
  { settings: { mirostat: 1, mirostatTau: 1.7, mirostatEta: 0 }, expected: expectedProbabilities((p) => p >= 0.11, 1) },
  // Surprise of at most 3.4 bits: probabilities of at least 0.095.
  { settings: { mirostat: 2, mirostatTau: 1.7, mirostatEta: 0 }, expected: expectedProbabilities((p) => p >= 0.11, 1) },
];

const CASES: readonly {
  readonly settings: Partial<SamplingSettings>;
  readonly keep: (p: number) => boolean;
}[] = [
  { settings: { temperature: 1 }, keep: () => true },
  { settings: { temperature: 0.6 }, keep: () => true },
  { settings: { temperature: 3 }, keep: () => true },
  { settings: { temperature: 1, topK: 4 }, keep: (p) => p >= 0.11 },
  // 0.3 + 0.2 + 0.14 + 0.11 = 0.75, and 0.09 more is 0.84.
  { settings: { temperature: 1.5, topP: 0.8 }, keep: (p) => p >= 0.09 },
  { settings: { temperature: 2, minP: 0.1 }, keep: (p) => p >= 0.04 },
  // Of the six best, 0.89 in all, the first four hold 0.84.
  { settings: { temperature: 0.8, topK: 6, topP: 0.9, minP: 0.4 }, keep: (p) => p >= 0.14 },
  { settings: { temperature: 1, topK: 6, topP: 0.9 }, keep: (p) => p >= 0.09 },
];

describe('draws', () => {
  const device = withDevice(BARE);

  it.each(CASES)('follow the distribution of $settings', async ({ settings, keep }) => {
    const vocab = PROBABILITIES.length;
    const harness = await SamplerHarness.create(await device(), vocab, ROWS, 1);
    const logits = Float32Array.from({ length: ROWS * vocab }, (_, i) => Math.log(PROBABILITIES[i % vocab]) + 3);
    const drawn = new Uint32Array(vocab);
    for (let step = 0; step < DRAWS / ROWS; step++) {
      const sampling = { ...GREEDY, ...settings, seed: SEED + step };
      const tokens = Array.from({ length: ROWS }, () => 0);
      const segment = { ...rowAt(0, 3 + ROWS, sampling), position: 3, tokens, sample: 'all' } as const;
      const { samples } = await harness.run({ logits, segments: [segment] });
      for (const { token } of samples) drawn[token]++;
    }
    harness.dispose();
    expectToFollow(drawn, DRAWS, expectedProbabilities(keep, settings.temperature ?? 1), JSON.stringify(settings));
  });

  it('follow the distribution of each sampler of the chain, side by side', async () => {
    const vocab = PROBABILITIES.length;
    const slots = CHAINS.length;
    const own = Math.floor(ROWS / slots);
    const harness = await SamplerHarness.create(await device(), vocab, own * slots, slots, true);
    const logits = Float32Array.from({ length: own * slots * vocab }, (_, i) => Math.log(PROBABILITIES[i % vocab]) + 3);
    const drawn = CHAINS.map(() => new Uint32Array(vocab));
    const steps = 16;
    for (let step = 0; step < steps; step++) {
      const segments = CHAINS.map(({ settings }, slot) => {
        const sampling = { ...GREEDY, temperature: 1, ...settings, seed: SEED + step * slots + slot };
        const tokens = Array.from({ length: own }, () => 0);
        return { ...rowAt(slot, 3 + own, sampling), position: 3, tokens, sample: 'all' } as const;
      });
      const { samples } = await harness.run({ logits, segments });
      samples.forEach(({ token }, row) => drawn[Math.floor(row / own)][token]++);
    }
    harness.dispose();
    CHAINS.forEach(({ settings, expected }, i) => {
      expectToFollow(drawn[i], own * steps, expected, JSON.stringify(settings));
    });
  });

  it('follow it too where guesses from another distribution are judged by rejection', async () => {
    const settings = { temperature: 0.7, topK: 6 };
    const keep = (p: number): boolean => p >= 0.05;
    const vocab = PROBABILITIES.length;
    const harness = await SamplerHarness.create(await device(), vocab, ROWS, 1, true);
    const logitsOf = (weights: readonly number[]): Float32Array =>
      Float32Array.from({ length: ROWS * vocab }, (_, i) => Math.log(weights[i % vocab]) - 2);
    // Another order, and a token that is hardly ever guessed.
    const guessing = PROBABILITIES.map((_, token) => (token === 5 ? 1e-4 : PROBABILITIES[(5 * token + 3) % vocab]));
    const drawn = new Uint32Array(vocab);
    let accepted = 0;
    let overlap = 0;
    for (let step = 0; step < JUDGED_STEPS; step++) {
      const sampling = { ...GREEDY, ...settings, seed: SEED + step };
      const tokens = Array.from({ length: ROWS }, () => 0);
      const segment = { ...rowAt(0, 3 + ROWS, sampling), position: 3, tokens, sample: 'all' } as const;
      const guesses = await harness.run({ logits: logitsOf(guessing), segments: [{ ...segment, proposes: true }] });
      const proposals = guesses.samples.slice(0, -1).map(({ top }) => top);
      const behind = guesses.samples.slice(0, -1).map(({ token }) => token);
      const judged = { ...segment, tokens: [0, ...behind], proposals };
      const { samples } = await harness.run({ logits: logitsOf(PROBABILITIES), segments: [judged] });
      samples.slice(0, -1).forEach(({ token, accepted: taken = false }, i) => {
        drawn[token]++;
        expect(taken).toBe(token === behind[i]);
        accepted += taken ? 1 : 0;
      });
      expect(samples[ROWS - 1].accepted).toBeUndefined();
      const [proposal] = proposals;
      const p = expectedProbabilities(keep, settings.temperature);
      overlap = proposal.reduce((sum, [token, share]) => sum + Math.min(share, p[token]), 0);
      expect(proposal.reduce((sum, [, share]) => sum + share, 0)).toBeCloseTo(1, 5);
      expect(proposal.length).toBe(settings.topK);
    }
    harness.dispose();
    const judged = JUDGED_STEPS * (ROWS - 1);
    expectToFollow(drawn, judged, expectedProbabilities(keep, settings.temperature), JSON.stringify(settings));
    // As many as can be: Σ min(p, q); further off than this once in a million.
    const spread = 5 * Math.sqrt(overlap * (1 - overlap) * judged);
    expect(Math.abs(accepted - overlap * judged)).toBeLessThan(spread);
  });

  it('come from the same random words as on the CPU', async () => {
    const gpu = await device();
    const count = 200;
    const entry = `// #import "lib/rng.wgsl"
      @group(0) @binding(0) var<storage, read> keys: array<vec4<u32>>;
      @group(0) @binding(1) var<storage, read_write> words: array<vec4<u32>>;
      @compute @workgroup_size(${count})
      fn main(@builtin(local_invocation_index) i: u32) {
        words[2u * i] = philox(vec4<u32>(keys[i].zw, i, 0u), keys[i].xy);
        words[2u * i + 1u] = vec4<u32>(bitcast<u32>(uniform_at(vec2<u32>(keys[i].x, keys[i].y >> 11u), keys[i].z, 3u)));
      }`;
    const pipelines = new PipelineCache(gpu.device, new Map([...(await allShaderSources()), ['test/rng.wgsl', entry]]));
    const pipeline = await pipelines.get({ entry: 'test/rng.wgsl' }, ['read', 'write']);
    const inputs = crypto.getRandomValues(new Uint32Array(4 * count));
    inputs.set([0, 0, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const [keys, words] = [
      await gpu.createBuffer({ label: 'keys', size: inputs.byteLength, usage }),
      await gpu.createBuffer({ label: 'words', size: 2 * inputs.byteLength, usage }),
    ];
    gpu.device.queue.writeBuffer(keys, 0, inputs);
    await gpu.checked('random words', () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const entries = [keys, words].map((buffer, binding) => ({ binding, resource: { buffer } }));
      pass.setBindGroup(0, gpu.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(1);
      pass.end();
      gpu.device.queue.submit([encoder.finish()]);
    });
    const expected = Array.from({ length: count }, (_, i) => {
      const [k0, k1, c0, c1] = inputs.subarray(4 * i, 4 * i + 4);
      const uniform = floatBits(uniformAt(k0 + (k1 >>> 11) * 2 ** 32, c0, 3));
      return [...philox([c0, c1, i, 0], [k0, k1]), uniform, uniform, uniform, uniform];
    });
    expect([...new Uint32Array(await readBuffer(gpu, words))]).toEqual(expected.flat());
    for (const buffer of [keys, words]) gpu.destroyBuffer(buffer);
  });
});
