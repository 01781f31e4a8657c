import { Engine } from '../../engine/engine';
import { InvalidOptionError } from '../../errors';
import { readHeader } from '../../model/origin';
import { measurePerplexity } from '../../model/perplexity';
import { loadTokenizer } from '../../tokenizer/load_tokenizer';
import { Arguments } from '../arguments';
import { openModel } from '../open_model';
import { openSource } from '../open_source';
import { printJson, printLine, progressLine } from '../output';
import { readText } from '../text_input';

const DEFAULT_WINDOW = 512;

/** Perplexity of a text file under a model: see model/perplexity.ts for the method. */
export async function perplexityCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, { file: { type: 'string' } });
  const model = args.model();
  const file = args.text('file');
  if (file === undefined) throw new InvalidOptionError('--file', 'which text? --file is missing');
  const text = await readText(file);
  const tokenizer = await loadTokenizer(await readHeader(await openSource(model)));
  const tokens = tokenizer.encode(text, { special: false, bos: false });
  const contextLength = args.contextLength ?? DEFAULT_WINDOW;
  if (tokenizer.addsBos) tokens.unshift(tokenizer.bos as number);

  const loaded = await openModel(args, { contextLength });
  try {
    const engine = new Engine(loaded.runner);
    const result = await measurePerplexity(engine, tokens, {
      contextLength,
      bos: tokenizer.addsBos ? tokenizer.bos : undefined,
      onProgress: (scored, total) => progressLine(`scored ${scored} of ${total} tokens`),
    });
    progressLine('');
    engine.dispose();
    if (args.json) printJson(result);
    else printLine(`perplexity ${result.perplexity.toFixed(4)} over ${result.tokens} tokens`);
  } finally {
    loaded.dispose();
  }
}
