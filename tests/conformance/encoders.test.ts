import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSource } from '../../src/cli/file_source';
import { Engine } from '../../src/engine/engine';
import type { LoadModelOptions } from '../../src/model/layout';
import { type LoadedModel, loadModel } from '../../src/model/load_model';
import { findFixtures } from './fixtures';

interface EmbeddingPrompt {
  readonly name: string;
  readonly tokens: readonly number[];
  readonly vector: readonly number[];
}

const matrix = process.env['TESSERA_MATRIX'];
const found = findFixtures(({ kind, own }) => kind === 'embedding' && (own || matrix !== 'small'));
// The second implementation sees one of the project's own, in another run another one.
const turn = Math.floor(Math.random() * found.length);
const fixtures = matrix === 'small' ? found.slice(turn, turn + 1) : found;
const BARE: Partial<LoadModelOptions> = { without: ['shader-f16', 'subgroups'], defaultLimits: true, kvType: 'f32' };
const WAYS: readonly (readonly [
  name: string,
  options: Partial<LoadModelOptions> & { backend: LoadModelOptions['backend'] },
])[] = [
  ...(matrix === 'small' ? [] : [['reference', { backend: 'reference' }] as const]),
  ['WebGPU', { backend: 'webgpu', kvType: 'f32' }],
  ...(matrix === 'full'
    ? [
        ['bare WebGPU', { ...BARE, backend: 'webgpu' }] as const,
        ['f16 activations', { backend: 'webgpu', activationType: 'f16' }] as const,
      ]
    : []),
];

describe.each(fixtures)('$name', (fixture) => {
  const { prompts } = JSON.parse(readFileSync(fixture.path.replace(/gguf$/, 'expected.json'), 'utf8')) as {
    readonly prompts: readonly EmbeddingPrompt[];
  };

  describe.each(WAYS)('%s', (_name, options) => {
    let model: LoadedModel;
    let engine: Engine;
    beforeAll(async () => {
      model = await loadModel(await fileSource(fixture.path), { contextLength: fixture.contextSize, ...options });
      engine = new Engine(model.runner);
    });
    afterAll(() => {
      engine.dispose();
      model.dispose();
    });

    it("gives llama.cpp's vectors, each text alone and all in one step", async () => {
      const alone: Float32Array[] = [];
      for (const { tokens } of prompts) alone.push(await engine.embed({ promptTokens: tokens }));
      const together = await Promise.all(prompts.map(({ tokens }) => engine.embed({ promptTokens: tokens })));
      for (const [i, { name, vector }] of prompts.entries()) {
        for (const found of [alone[i], together[i]]) {
          // llama.cpp looks GELU up in a table of halves; elements of these vectors reach 5.
          const worst = vector.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at])), 0);
          if (matrix === 'full')
            console.info([fixture.name, _name, name, worst.toExponential(1), 1 - cosine(found, vector)].join(' | '));
          expect(worst, name).toBeLessThan(
            (fixture.arch === 'gemma-embedding' ? 2e-2 : 5e-3) * (options.activationType === 'f16' ? 2 : 1),
          );
          expect(cosine(found, vector), name).toBeGreaterThan(0.9999);
        }
      }
    });
  });
});

function cosine(a: ArrayLike<number>, b: readonly number[]): number {
  let dot = 0;
  let left = 0;
  let right = 0;
  for (let i = 0; i < b.length; i++) {
    dot += a[i] * b[i];
    left += a[i] * a[i];
    right += b[i] * b[i];
  }
  return dot / Math.sqrt(left * right);
}
