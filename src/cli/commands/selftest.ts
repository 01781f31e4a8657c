import { InvalidOptionError, KernelError } from '../../errors';
import { SELF_TEST_VARIANTS, type SelfTestRow, type SelfTestVariant, selfTest } from '../../model/selftest';
import { type KernelVariantRow, type Slice, testKernelVariants } from '../../model/test_variants';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import { notice, printJson, printLine, progressLine, table } from '../output';

/** Checks between two notices of how far a run of all variants is, where no terminal shows each. */
const NOTICE_EVERY = 100;

/**
 * Every kernel on this GPU against the reference, with --variants in every variant that an autotuner may choose. Exits with 1 when a row
 * fails.
 */
export async function selftestCommand(argv: readonly string[]): Promise<void> {
  const own = {
    seed: { type: 'string' },
    filter: { type: 'string' },
    variants: { type: 'boolean' },
    slice: { type: 'string' },
  } as const;
  const args = Arguments.parse(argv, own, { loads: false });
  if (args.backend === 'reference') {
    throw new InvalidOptionError(
      '--backend',
      'the self-test holds GPU kernels against the reference: only webgpu makes sense',
    );
  }
  const guises = guisesOf(args);
  const seed = args.integer('seed', 0) ?? Math.floor(Math.random() * 2 ** 31);
  const filter = args.text('filter');
  const slice = sliceOf(args.text('slice'));
  if (slice && !args.flag('variants')) throw new InvalidOptionError('--slice', 'goes with --variants');
  const gpu = await createNodeGpu();
  const rows = args.flag('variants')
    ? await allVariants(testKernelVariants({ gpu, seed, guises, filter, slice }), args.json)
    : await allCases(selfTest({ gpu, seed, variants: guises, filter }), args.json);
  if (rows.length === 0) throw new InvalidOptionError('--filter', 'no check is left');
  const failed = rows.filter((row) => row.verdict === 'FAIL');
  if (args.json) printJson({ seed, passed: rows.length - failed.length, failed: failed.length, rows });
  else printLine(`${rows.length - failed.length} passed, ${failed.length} failed (seed ${seed})`);
  if (failed.length > 0) {
    const [first] = failed;
    throw new KernelError(
      `${failed.length} of ${rows.length} checks failed, the first one: ${first.label} (${first.variant})`,
    );
  }
}

/** The device as it was asked for, or in every guise. */
function guisesOf(args: Arguments): readonly SelfTestVariant[] {
  const without = args.without;
  const defaultLimits = args.flag('default-limits');
  if (without.length === 0 && !defaultLimits) return SELF_TEST_VARIANTS;
  const name = [...without, ...(defaultLimits ? ['default limits'] : [])].join(', ');
  return [{ name, without, defaultLimits }];
}

/** `2/8`: the second of eight parts. */
function sliceOf(text: string | undefined): Slice | undefined {
  if (text === undefined) return undefined;
  const [, part, of] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (part >= 1 && part <= of) return { part, of };
  throw new InvalidOptionError('--slice', `"${text}" is not a part like 2/8`);
}

async function allCases(run: AsyncGenerator<SelfTestRow>, silent: boolean): Promise<SelfTestRow[]> {
  const rows: SelfTestRow[] = [];
  for await (const row of run) {
    rows.push(row);
    if (!silent) printLine(format(row));
  }
  return rows;
}

/** There are thousands: what fails is printed at once, what passed is counted. */
async function allVariants(run: AsyncGenerator<KernelVariantRow>, silent: boolean): Promise<SelfTestRow[]> {
  const rows: SelfTestRow[] = [];
  const started = Date.now();
  let wrong = 0;
  for await (const { done, total, ...row } of run) {
    rows.push(row);
    if (row.verdict === 'FAIL') wrong++;
    if (!silent && row.verdict === 'FAIL') printLine(format(row));
    const seconds = (Date.now() - started) / 1000;
    const progress = `${done} of ${total} variants, ${wrong} wrong, ${seconds.toFixed(0)} s`;
    if (done % NOTICE_EVERY === 0 && !process.stderr.isTTY) notice(progress);
    else progressLine(`${progress}: ${row.label}`);
  }
  progressLine('');
  if (!silent) printLine(summary(rows));
  return rows;
}

/** By op, format and types, as labels begin: how many there were, how many were wrong, and how near the worst right one was to its budget. */
function summary(rows: readonly SelfTestRow[]): string {
  const families = new Map<string, SelfTestRow[]>();
  for (const row of rows) {
    const family = row.label.split(' ').slice(0, 2).join(' ');
    families.set(family, [...(families.get(family) ?? []), row]);
  }
  return table([
    ['kernel', 'variants', 'wrong', 'largest error of its budget'],
    ...[...families].map(([family, all]) => {
      const right = all.filter(({ verdict }) => verdict === 'pass');
      const worst = Math.max(0, ...right.map(({ error, budget }) => error / budget));
      return [family, all.length, all.length - right.length, `${(100 * worst).toFixed(0)} %`];
    }),
  ]);
}

function format(row: SelfTestRow): string {
  const figures = row.failure ?? `${row.error.toExponential(1)} of ${row.budget.toExponential(1)}`;
  return table([[row.verdict, row.variant, row.label, row.tensor, figures]]);
}
