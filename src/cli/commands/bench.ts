import { InvalidOptionError } from '../../errors';
import { reportMarkdown } from '../../model/bench/markdown';
import type { BenchmarkSettings } from '../../model/bench/report';
import { DEFAULT_SETTINGS, QUICK_SETTINGS, runSuite } from '../../model/bench/suite';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import { loadOptions } from '../open_model';
import { openSource } from '../open_source';
import { printJson, printLine, progressLine } from '../output';

/** The benchmark suite on one model, as Markdown or JSON (docs/benchmarks.md). */
export async function benchCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    quick: { type: 'boolean' },
    prefill: { type: 'string' },
    depth: { type: 'string' },
    rows: { type: 'string' },
    decode: { type: 'string' },
    repeat: { type: 'string' },
    'max-seconds': { type: 'string' },
    selftest: { type: 'boolean' },
    profile: { type: 'boolean' },
  });
  const model = args.model();
  const settings = settingsOf(args);
  const onGpu = args.backend === 'webgpu';
  if (args.flag('profile') && !onGpu)
    throw new InvalidOptionError('--profile', 'the reference executor has no kernels');
  const gpu = onGpu ? await createNodeGpu() : undefined;
  const { onProgress: _, ...load } = loadOptions(args, { gpu });
  const report = await runSuite(await openSource(model), {
    settings,
    load,
    runtime: `Node ${process.versions.node}${onGpu ? ', Dawn' : ''}`,
    selfTest: args.flag('selftest'),
    profile: args.flag('profile'),
    onProgress: (doing) => progressLine(doing),
  });
  progressLine('');
  if (args.json) printJson(report);
  else printLine(reportMarkdown(report));
}

function settingsOf(args: Arguments): BenchmarkSettings {
  const defaults = args.flag('quick') ? QUICK_SETTINGS : DEFAULT_SETTINGS;
  const maxSeconds = args.number('max-seconds') ?? defaults.maxSeconds;
  if (maxSeconds <= 0) throw new InvalidOptionError('--max-seconds', `${maxSeconds} is not a positive number`);
  return {
    prefill: args.integers('prefill', 1) ?? defaults.prefill,
    depths: args.integers('depth', 0) ?? defaults.depths,
    rows: args.integers('rows', 1) ?? defaults.rows,
    tokens: args.integer('decode', 12) ?? defaults.tokens,
    repetitions: args.integer('repeat', 1) ?? defaults.repetitions,
    maxSeconds,
  };
}
