import { InvalidOptionError } from '../../errors';
import { firstOverBudget } from '../../model/compare';
import { compareModel } from '../../model/compare_model';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import { fileTextStore } from '../file_text_store';
import { openSource } from '../open_source';
import { printJson, printLine, table } from '../output';
import { parseTokens } from '../tokens';

/** Errors pile up over the layers: a step may be this far off before a call counts as wrong. */
const BUDGET = 1e-6;

/** Runs one step on the GPU and on the reference and names the first op that is off. */
export async function compareCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, { tokens: { type: 'string' } });
  if (args.backend === 'reference') {
    throw new InvalidOptionError('--backend', 'the GPU is held against the reference: only webgpu makes sense');
  }
  if (args.activationType === 'f16') {
    throw new InvalidOptionError('--activations', 'the reference computes in f32: only f32 can be compared');
  }
  const source = await openSource(args.model());
  const tokens = parseTokens(args.text('tokens'));
  const options = {
    backend: 'webgpu' as const,
    gpu: await createNodeGpu(),
    contextLength: args.contextLength,
    kvType: args.kvType,
    quantize: args.quantize,
    tune: { mode: args.tune, store: fileTextStore() },
    without: args.without,
    defaultLimits: args.flag('default-limits'),
  };
  const calls = await compareModel(source, options, tokens);
  const first = firstOverBudget(calls, BUDGET);
  if (args.json) printJson({ budget: BUDGET, firstOff: first ?? null, calls });
  else {
    printLine(table(calls.map(({ index, op, tensor, error }) => [String(index), op, tensor, error.toExponential(1)])));
    printLine(
      first
        ? `first over ${BUDGET}: call ${first.index}, ${first.op} → ${first.tensor}`
        : 'every call is within its budget',
    );
  }
}
