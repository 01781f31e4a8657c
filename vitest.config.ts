import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { xgrammar } from './vite.xgrammar.ts';

const plugins = [xgrammar];

/** The Vulkan driver that Debian's Chromium brings. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/**
 * The files that take longest, which are not the largest: begun last, one of them would keep one core busy alone. Those of the browser, which
 * wait a while, between the others.
 */
const LONGEST = [
  'conformance/decoders',
  'e2e/chat',
  'conformance/llama_float',
  'gpu/sample_distribution',
  'e2e/faults',
  'conformance/llama_quantised',
  'gpu/steady_state',
  'e2e/benchmark',
  'naga/selftest',
  'gpu/linear',
  'gpu/structured',
  'e2e/library',
  'unit/engine/speculation',
  'conformance/encoders',
  'gpu/attention_cases',
  'conformance/experts',
  'gpu/linear_invariance',
  'gpu/sample_cases',
  'gpu/sample_draws',
  'gpu/autotune',
  'unit/model/perplexity',
  'unit/cli/main',
  'gpu/experts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return found < 0 ? LONGEST.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** In milliseconds: for a machine that is several times as slow, with other work. What waits for nothing is only found later. */
const PATIENCE = { testTimeout: 1_200_000, hookTimeout: 1_200_000 };

/** Of the fixtures and variants that take turns those of this run (tests/conformance/suite.ts), 0 to 7. */
const TURN = process.env['TESSERA_TURN'] ?? String(Math.floor(Math.random() * 8));

const conformance = {
  include: ['tests/conformance/**/*.test.ts'],
  environment: 'node' as const,
  setupFiles: ['tests/gpu/setup.ts'],
  env: { TESSERA_TURN: TURN },
  ...PATIENCE,
};

export default defineConfig({
  test: {
    // One more than a small machine has cores: drivers compile on one, browsers and Dawn wait for each other.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        plugins,
        test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node', ...PATIENCE },
      },
      {
        plugins,
        test: {
          name: 'gpu',
          include: ['tests/gpu/**/*.test.ts'],
          environment: 'node',
          setupFiles: ['tests/gpu/setup.ts'],
          ...PATIENCE,
        },
      },
      { plugins, test: { ...conformance, name: 'conformance' } },
      // The same files on a second implementation: no f16, other subgroups. Slow, so the project's own fixtures only.
      ...(existsSync(SWIFTSHADER)
        ? [
            {
              plugins,
              test: {
                ...conformance,
                name: 'swiftshader',
                env: {
                  ...conformance.env,
                  VK_ICD_FILENAMES: SWIFTSHADER,
                  VK_DRIVER_FILES: SWIFTSHADER,
                  TESSERA_MATRIX: 'small',
                },
              },
            },
          ]
        : []),
      {
        plugins,
        test: {
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          environment: 'node',
          globalSetup: ['tests/e2e/serve_site.ts'],
          ...PATIENCE,
        },
      },
      { plugins, test: { name: 'naga', include: ['tests/naga/**/*.test.ts'], environment: 'node', ...PATIENCE } },
    ],
  },
});
