import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { xgrammar } from './vite.xgrammar.ts';

const plugins = [xgrammar];

/** The Vulkan driver that Debian's Chromium brings. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** The files that take longest, which are not the largest: begun last, one of them would keep one core busy alone. */
const LONGEST = [
  'conformance/llama_quantised',
  'conformance/decoders',
  'conformance/llama_float',
  'conformance/experts',
  'conformance/encoders',
  'e2e/chat',
  'e2e/faults',
  'e2e/benchmark',
  'e2e/library',
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

const conformance = {
  include: ['tests/conformance/**/*.test.ts'],
  environment: 'node' as const,
  setupFiles: ['tests/gpu/setup.ts'],
  testTimeout: 300_000,
  hookTimeout: 300_000,
};

export default defineConfig({
  test: {
    // Drivers compile shaders on one core: on a machine with two both are to be busy.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        plugins,
        test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node', testTimeout: 60_000 },
      },
      {
        plugins,
        test: {
          name: 'gpu',
          include: ['tests/gpu/**/*.test.ts'],
          environment: 'node',
          setupFiles: ['tests/gpu/setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
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
                env: { VK_ICD_FILENAMES: SWIFTSHADER, VK_DRIVER_FILES: SWIFTSHADER, TESSERA_MATRIX: 'small' },
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
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
