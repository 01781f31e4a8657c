import { ContextOverflow } from '../engine/context_overflow';
import type { Engine } from '../engine/engine';
import { InvalidFileError, InvalidOptionError } from '../errors';
import type { ChatTemplate } from '../tokenizer/chat_template';
import { renderChat } from '../tokenizer/render_chat';
import type { Tokenizer } from '../tokenizer/tokenizer';
import { chatOverflow } from './chat_overflow';
import type { ChatMessage } from './protocol';

const ROLES: readonly unknown[] = ['system', 'user', 'assistant', 'tool'] satisfies ChatMessage['role'][];

/** A chat as bytes: its messages, and what is cached of their keys and values. Rejects like `Engine.savePrefix`. */
export async function saveChat(
  {
    tokenizer,
    template,
    engine,
  }: { readonly tokenizer: Tokenizer; readonly template: ChatTemplate; readonly engine: Engine },
  messages: readonly ChatMessage[],
): Promise<Uint8Array<ArrayBuffer>> {
  if (messages.length === 0) throw new InvalidOptionError('messages', 'there is nothing to save yet');
  const tokens = [...renderChat(tokenizer, template, messages, { addGenerationPrompt: false })];
  // What the model still sees of a chat that has outgrown the context, where nothing else was asked for.
  if (tokens.length > engine.contextLength) {
    const settings = chatOverflow({ tokenizer, template }, messages, tokens, {}, engine.contextLength);
    new ContextOverflow(settings, engine.contextLength).shorten(tokens);
  }
  return await engine.savePrefix(tokens, JSON.stringify(messages));
}

/** The messages of a saved chat, whose keys and values are cached again. Rejects like `Engine.loadPrefix`. */
export async function loadChat({ engine }: { readonly engine: Engine }, bytes: Uint8Array): Promise<ChatMessage[]> {
  const { note } = await engine.loadPrefix(bytes);
  return parseMessages(note);
}

function parseMessages(note: string): ChatMessage[] {
  let messages: unknown;
  try {
    messages = JSON.parse(note);
  } catch (cause) {
    throw new InvalidFileError('saved conversation: its messages are no JSON', { cause });
  }
  if (!Array.isArray(messages) || !messages.every(isMessage)) {
    throw new InvalidFileError('saved conversation: it holds no messages');
  }
  return messages;
}

function isMessage(message: unknown): message is ChatMessage {
  if (typeof message !== 'object' || message === null) return false;
  const { role, content } = message as Record<string, unknown>;
  return ROLES.includes(role) && typeof content === 'string';
}
