import { Engine } from '../../engine/engine';
import { InvalidOptionError } from '../../errors';
import { loadTokenizer } from '../../tokenizer/load_tokenizer';
import { embedTokens } from '../../worker/embed_texts';
import { Arguments } from '../arguments';
import { openModel } from '../open_model';
import { printJson, printLine } from '../output';
import { parseTokens } from '../tokens';

/** The vector of a text under an encoder: pooled as the file says, of length 1. */
export async function embedCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, { text: { type: 'string' }, tokens: { type: 'string' } });
  args.model();
  const text = args.text('text');
  const tokens = args.text('tokens');
  if ((text === undefined) === (tokens === undefined)) {
    throw new InvalidOptionError('--text', 'give either --text or --tokens');
  }
  const input = text ?? parseTokens(tokens);
  const loaded = await openModel(args, { purpose: 'a vector' });
  try {
    const engine = new Engine(loaded.runner);
    // Tokens need no tokenizer, and the file may have none that is known.
    const promptTokens =
      typeof input === 'string'
        ? (await loadTokenizer(loaded.gguf)).encode(input, { special: false, bos: 'auto' })
        : input;
    const { vectors } = await embedTokens(engine, [promptTokens]);
    engine.dispose();
    const embedding = [...vectors[0]];
    if (args.json) printJson({ embedding });
    else printLine(embedding.join(' '));
  } finally {
    loaded.dispose();
  }
}
