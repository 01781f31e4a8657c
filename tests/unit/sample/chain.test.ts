import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GREEDY, type SamplingSettings } from '../../../src/engine/runner';
import { type ChainUniforms, chooseByChain, shapeLogits } from '../../../src/ops/sample/chain';

interface LlamaCases {
  readonly cases: readonly {
    readonly logits: readonly number[];
    readonly chains: readonly (
      | { readonly name: string; readonly left: readonly (readonly [token: number, logit: number])[] }
      | { readonly name: string; readonly steps: readonly (readonly [left: number, token: number])[] }
    )[];
  }[];
}

/** What llama.cpp's own samplers do (scripts/oracle/samplers.cpp). */
const LLAMA = JSON.parse(
  readFileSync(new URL('../../fixtures/samplers/llama_cpp.json', import.meta.url), 'utf8'),
) as LlamaCases;

const FILTERS = ['top_n_sigma', 'top_k', 'typ_p', 'top_p', 'min_p', 'xtc', 'temperature'] as const;
const xtc = (xtcThreshold: number) => ({ xtcProbability: 1, xtcThreshold });

/** The settings of each chain in the file. */
const SETTINGS: Readonly<Record<string, Partial<SamplingSettings>>> = {
  'top_n_sigma 1': { topNSigma: 1 },
  'top_n_sigma 0.4': { topNSigma: 0.4 },
  'typ_p 0.3': { typicalP: 0.3 },
  'typ_p 0.85': { typicalP: 0.85 },
  'xtc 0.1': xtc(0.1),
  'xtc 0.02': xtc(0.02),
  'dynatemp 0.9 0.6 1': { temperature: 0.9, dynatempRange: 0.6 },
  'dynatemp 0.5 0.8 2': { temperature: 0.5, dynatempRange: 0.8, dynatempExponent: 2 },
  'default order': {
    topNSigma: 2,
    topK: 12,
    typicalP: 0.95,
    topP: 0.9,
    minP: 0.05,
    ...xtc(0.15),
    temperature: 0.8,
    dynatempRange: 0.3,
    samplers: FILTERS,
  },
  'temperature first': { temperature: 2, minP: 0.2, topP: 0.8, samplers: ['temperature', 'min_p', 'top_p'] },
  'temperature, typ_p, top_k': {
    temperature: 0.7,
    dynatempRange: 0.5,
    typicalP: 0.7,
    topK: 3,
    samplers: ['temperature', 'typ_p', 'top_k'],
  },
  'xtc, temperature 0': { ...xtc(0.1), temperature: 0 },
  'temperature 2, repetition 1.5 of 3 5 3 8 9 1 2, last 4': {
    temperature: 2,
    repetitionPenalty: 1.5,
    samplers: ['temperature', 'penalties'],
  },
  mirostat_1: { mirostat: 1, mirostatTau: 2, mirostatEta: 0.3 },
  mirostat_2: { mirostat: 2, mirostatTau: 2, mirostatEta: 0.3 },
};

function settingsOf(name: string): SamplingSettings {
  return { ...GREEDY, temperature: 1, ...SETTINGS[name] };
}

const noState = (vocab: number) => ({ counts: new Uint32Array(vocab), bias: [], dry: [], mu: 4 });

const CHAINS = LLAMA.cases.flatMap(({ logits, chains }, i) =>
  chains.map((chain) => ({ ...chain, logits, label: `${chain.name}, logits ${i}` })),
);

describe('the chain does what llama.cpp’s does', () => {
  it.each(CHAINS.flatMap((chain) => ('left' in chain ? [chain] : [])))('$label', ({ name, logits, left }) => {
    const counts = new Uint32Array(logits.length);
    for (const token of [8, 9, 1, 2]) counts[token] = 1;
    const state = { ...noState(logits.length), counts };
    const { values, temperature } = shapeLogits(Float32Array.from(logits), settingsOf(name), state, 0.5);
    const kept = Array.from(values.keys()).filter((t) => values[t] !== Number.NEGATIVE_INFINITY);
    expect(kept).toEqual(left.map(([token]) => token));
    for (const [token, logit] of left) expect(values[token] / temperature).toBeCloseTo(logit, 4);
  });

  it.each(CHAINS.flatMap((chain) => ('steps' in chain ? [chain] : [])))('$label', ({ name, logits, steps }) => {
    const settings = settingsOf(name);
    let mu = 2 * settings.mirostatTau;
    steps.forEach(([left, token], step) => {
      const turned = Float32Array.from(logits, (_, i) => logits[(i + 5 * step) % logits.length]);
      const state = { ...noState(logits.length), mu };
      const { values } = shapeLogits(turned, settings, state, 0);
      expect(values.filter((x) => x !== Number.NEGATIVE_INFINITY).length).toBe(left);
      const draws = Array.from({ length: 2000 }, (_, i) =>
        chooseByChain(turned, { sampling: settings }, state, drawing((i + 0.5) / 2000)),
      );
      const same = draws.find((choice) => choice.token === token);
      expect(same).toBeDefined();
      mu = same?.mu ?? Number.NaN;
    });
  });
});

/** What the token is drawn by, and XTC. */
function drawing(token: number, xtcDraw = 0): ChainUniforms {
  return { token, xtc: xtcDraw, proposal: 0, accept: 0 };
}

describe('the chain', () => {
  const draw = (logits: readonly number[], settings: Partial<SamplingSettings>, token = 0.5, xtcDraw = 0) =>
    chooseByChain(
      Float32Array.from(logits),
      { sampling: { ...GREEDY, ...settings } },
      noState(logits.length),
      drawing(token, xtcDraw),
    );

  it('excludes top choices as often as the probability says', () => {
    const settings = { temperature: 1, xtcProbability: 0.3, xtcThreshold: 0.2 };
    const logits = [2, 2.5, 1.9, -40];
    expect(draw(logits, settings, 0, 0.29).token).toBe(2);
    expect(draw(logits, settings, 0, 0.31).token).toBe(0);
  });

  it('takes the best of what is left at temperature 0', () => {
    expect(draw([3, 2, 1], { xtcProbability: 1, xtcThreshold: 0.2 }).token).toBe(1);
  });

  it('keeps a token whatever is asked, and the first where there is none', () => {
    const all = { temperature: 1, topNSigma: 1e-6, typicalP: 1e-6, ...xtc(1e-6) };
    expect([0, 1, 2]).toContain(draw([1, 1, 1], all).token);
    const none = draw([Number.NaN, Number.NEGATIVE_INFINITY], all);
    expect(none.token).toBe(0);
  });

  it('adds bias after penalties that come first and before all else otherwise', () => {
    const settings = { ...GREEDY, temperature: 2, repetitionPenalty: 2, logitBias: [[0, 4]] as const };
    const state = { ...noState(2), counts: Uint32Array.from([1, 0]), bias: settings.logitBias };
    const first = shapeLogits(Float32Array.of(4, 1), { ...settings, dryMultiplier: 1 }, state, 0);
    expect([...first.values]).toEqual([6, 1]);
    const later = { ...settings, samplers: ['temperature', 'penalties'] } as const;
    expect([...shapeLogits(Float32Array.of(4, 1), later, state, 0).values]).toEqual([4, 1]);
  });

  it('subtracts what DRY says, of what the temperature has not divided yet', () => {
    const settings = { ...GREEDY, temperature: 2, dryMultiplier: 1 };
    const state = { ...noState(3), dry: [[1, 1.5]] as const };
    expect([...shapeLogits(Float32Array.of(4, 1, 0), settings, state, 0).values]).toEqual([4, -0.5, 0]);
    const later = { ...settings, samplers: ['temperature', 'dry'] } as const;
    expect([...shapeLogits(Float32Array.of(4, 1, 0), later, state, 0).values]).toEqual([4, -2, 0]);
  });

  it('keeps mirostat’s surprise near what it aims at', () => {
    const logits = Float32Array.from({ length: 200 }, (_, i) => -0.05 * i);
    for (const mirostat of [1, 2]) {
      const settings = { ...GREEDY, temperature: 1, mirostat, mirostatTau: 3, mirostatEta: 0.1 };
      let mu = 6;
      let surprise = 0;
      const steps = 2000;
      for (let step = 0; step < steps; step++) {
        const choice = chooseByChain(
          logits,
          { sampling: settings },
          { ...noState(200), mu },
          drawing((step * 0.618034) % 1),
        );
        surprise += 3 - ((choice.mu ?? Number.NaN) - mu) / 0.1;
        mu = choice.mu ?? Number.NaN;
      }
      expect(surprise / steps).toBeCloseTo(3, 1);
    }
  });
});
