import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One prompt of a fixture, as llama.cpp answered it. */
export interface ExpectedPrompt {
  readonly name: string;
  readonly tokens: readonly number[];
  readonly positions: readonly {
    readonly at: number;
    readonly top: readonly (readonly [token: number, logprob: number])[];
    readonly logSumExp: number;
    readonly margin: number;
  }[];
  readonly greedy: readonly number[];
  readonly greedyMargins: readonly number[];
}

export interface Fixture {
  readonly name: string;
  readonly arch: string;
  readonly weights: string;
  readonly kind: 'causal' | 'embedding';
  readonly path: string;
  readonly contextSize: number;
  readonly prompts: readonly ExpectedPrompt[];
  /** Lies in the project itself. */
  readonly own: boolean;
}

const OWN_FOLDER = 'tests/fixtures/models';
const FOLDERS = [OWN_FOLDER, '../shared/fixtures/models'];

/** All fixtures that this machine has: those of the project, and the shared ones where they are at hand. */
export function findFixtures(matches: (fixture: Fixture) => boolean): Fixture[] {
  const found = new Map<string, Fixture>();
  for (const folder of FOLDERS.filter((path) => existsSync(path))) {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.expected.json'))) {
      const json = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
        name: string;
        arch: string;
        weights: string;
        kind?: 'causal' | 'embedding';
        file: string;
        settings: { contextSize: number };
        prompts: ExpectedPrompt[];
      };
      const fixture: Fixture = {
        name: json.name,
        arch: json.arch,
        weights: json.weights,
        kind: json.kind ?? 'causal',
        path: join(folder, json.file),
        contextSize: json.settings.contextSize,
        prompts: json.prompts,
        own: folder === OWN_FOLDER,
      };
      if (matches(fixture) && !found.has(fixture.name)) found.set(fixture.name, fixture);
    }
  }
  return [...found.values()];
}
