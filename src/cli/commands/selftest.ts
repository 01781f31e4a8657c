import { InvalidOptionError, KernelError } from '../../errors';
import { SELF_TEST_VARIANTS, type SelfTestRow, selfTest } from '../../model/selftest';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import { printJson, printLine, table } from '../output';

/** Every kernel variant on this GPU against the reference. Exits with 1 when a row fails. */
export async function selftestCommand(argv: readonly string[]): Promise<void> {
  const own = { seed: { type: 'string' }, filter: { type: 'string' } } as const;
  const args = Arguments.parse(argv, own, { loads: false });
  if (args.backend === 'reference') {
    throw new InvalidOptionError(
      '--backend',
      'the self-test holds GPU kernels against the reference: only webgpu makes sense',
    );
  }
  const masked = args.without;
  const onlyDefaultLimits = args.flag('default-limits');
  const asked = masked.length > 0 || onlyDefaultLimits;
  const variants = asked
    ? [
        {
          name: [...masked, ...(onlyDefaultLimits ? ['default limits'] : [])].join(', '),
          without: masked,
          defaultLimits: onlyDefaultLimits,
        },
      ]
    : SELF_TEST_VARIANTS;
  const seed = args.integer('seed', 0) ?? Math.floor(Math.random() * 2 ** 31);
  const filter = args.text('filter');
  const rows: SelfTestRow[] = [];
  const gpu = await createNodeGpu();
  for await (const row of selfTest({ gpu, seed, variants, filter })) {
    rows.push(row);
    if (!args.json) printLine(format(row));
  }
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

function format(row: SelfTestRow): string {
  const figures = row.failure ?? `${row.error.toExponential(1)} of ${row.budget.toExponential(1)}`;
  return table([[row.verdict, row.variant, row.label, row.tensor, figures]]);
}
