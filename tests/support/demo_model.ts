import { readFileSync } from 'node:fs';
import type { Gguf } from '../../src/formats/gguf/gguf';
import { readGguf } from '../../src/formats/gguf/read_gguf';
import { type ChatTemplate, chatTemplate } from '../../src/tokenizer/chat_template';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer';

/** The embedded model's words, without its weights. */
export async function demoModel(): Promise<{ gguf: Gguf; tokenizer: Tokenizer; template: ChatTemplate }> {
  const file = readFileSync('public/models/demo.q8_0.gguf');
  const read = async (offset: number, length: number) => new Uint8Array(file.subarray(offset, offset + length));
  const gguf = await readGguf({
    name: 'demo',
    size: file.length,
    read,
    async *stream(offset, length) {
      yield await read(offset, length);
    },
  });
  const tokenizer = createTokenizer(gguf);
  return { gguf, tokenizer, template: chatTemplate(gguf, tokenizer) };
}
