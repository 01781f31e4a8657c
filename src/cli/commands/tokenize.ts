import { InvalidOptionError } from '../../errors';
import { readHeader } from '../../model/origin';
import { loadTokenizer } from '../../tokenizer/load_tokenizer';
import { Arguments } from '../arguments';
import { openSource } from '../open_source';
import { printJson, printLine } from '../output';
import { readText } from '../text_input';

export async function tokenizeCommand(argv: readonly string[]): Promise<void> {
  const own = { text: { type: 'string' }, file: { type: 'string' }, special: { type: 'boolean' } } as const;
  const args = Arguments.parse(argv, own, { loads: false });
  const model = args.model();
  const text = await textOf(args);
  const source = await openSource(model);
  const tokenizer = await loadTokenizer(await readHeader(source));
  const tokens = tokenizer.encode(text, { special: args.flag('special'), bos: false });
  if (args.json) printJson({ tokens });
  else for (const token of tokens) printLine(`${token}\t${JSON.stringify(tokenizer.tokenText(token))}`);
}

async function textOf(args: Arguments): Promise<string> {
  const text = args.text('text');
  const file = args.text('file');
  if ((text === undefined) === (file === undefined))
    throw new InvalidOptionError('--text', 'give either --text or --file');
  if (text !== undefined) return text;
  return readText(file as string);
}
