import { readFile, writeFile } from 'node:fs/promises';
import type { Engine } from '../engine/engine';
import { InvalidOptionError, SourceError } from '../errors';
import { messageOf } from '../errors/message_of';
import type { ChatTemplate } from '../tokenizer/chat_template';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { ChatMessage } from '../worker/protocol';
import { loadChat, saveChat } from '../worker/saved_chat';
import type { Arguments } from './arguments';

/** Files of a conversation: `load` with what was said before, `save` for all of it. */
export interface SessionFiles {
  readonly load: string | undefined;
  readonly save: string | undefined;
}

/** Throws InvalidOptionError where there is no conversation, or more than one way to go on from. */
export function readSessionFiles(args: Arguments, answers: number): SessionFiles {
  const files = { load: args.text('load-session'), save: args.text('save-session') };
  for (const name of ['load', 'save'] as const) {
    if (files[name] !== undefined && !args.flag('chat'))
      throw new InvalidOptionError(`--${name}-session`, 'goes with --chat');
  }
  if (files.save !== undefined && answers > 1)
    throw new InvalidOptionError('--save-session', 'a session goes on from one answer');
  return files;
}

/** The messages of a file; what was computed of them is cached again. Rejects with SourceError and like `loadChat`. */
export async function loadSession(engine: Engine, path: string): Promise<ChatMessage[]> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new SourceError(`${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  return await loadChat({ engine }, bytes);
}

/** Writes a conversation with what is cached of it. Rejects with SourceError and like `saveChat`. */
export async function saveSession(
  model: { readonly tokenizer: Tokenizer; readonly template: ChatTemplate; readonly engine: Engine },
  messages: readonly ChatMessage[],
  path: string,
): Promise<void> {
  const bytes = await saveChat(model, messages);
  try {
    await writeFile(path, bytes);
  } catch (cause) {
    throw new SourceError(`${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
}
