import type { BenchmarkReport, BenchmarkSettings } from '../model/bench/report';
import { type BenchmarkProgress, DEFAULT_SETTINGS, QUICK_SETTINGS, runSuite } from '../model/bench/suite';
import { withSource } from './open_source';
import type { LoadSettings, ModelSource } from './protocol';
import { tuneOptions } from './tune_options';

/** What a benchmark worker is told; structured-cloneable. */
export interface BenchmarkRequest {
  readonly source: ModelSource;
  /** Settings that are not given are the suite's defaults, or those of its quick form. */
  readonly settings: Partial<BenchmarkSettings>;
  readonly quick: boolean;
  readonly selfTest: boolean;
  readonly profile: boolean;
  readonly load: Omit<LoadSettings, 'backend'> & { readonly backend: 'webgpu' | 'reference' };
}

export interface BenchmarkHooks {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BenchmarkProgress) => void;
}

/** Runs the suite in this thread. Rejects like `runSuite`. */
export async function benchmark(request: BenchmarkRequest, hooks: BenchmarkHooks): Promise<BenchmarkReport> {
  const { source, settings, quick, selfTest, profile, load } = request;
  const { tune, ...rest } = load;
  return await withSource(source, { signal: hooks.signal }, (origin) =>
    runSuite(origin, {
      settings: { ...(quick ? QUICK_SETTINGS : DEFAULT_SETTINGS), ...settings },
      load: { ...rest, tune: tuneOptions(tune) },
      selfTest,
      profile,
      runtime: runtimeName(globalThis.navigator?.userAgent ?? 'unknown'),
      ...hooks,
    }),
  );
}

/** "Chrome 141.0.7390.37 (X11; Linux x86_64)": the name that tells most among those in a user agent's text. */
export function runtimeName(userAgent: string): string {
  const system = /\(([^)]*)\)/.exec(userAgent)?.[1];
  // Edge and Opera call themselves Chrome too, Chrome calls itself Safari.
  const names = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Version', 'Node.js', 'Deno'];
  const label: Readonly<Record<string, string>> = { Edg: 'Edge', OPR: 'Opera', Version: 'Safari', 'Node.js': 'Node' };
  for (const name of names) {
    const version = new RegExp(`\\b(?:Headless)?${name.replace('.', '\\.')}/([\\d.]+)`).exec(userAgent)?.[1];
    if (version) return `${label[name] ?? name} ${version}${system ? ` (${system})` : ''}`;
  }
  return userAgent;
}
