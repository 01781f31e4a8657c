import { InvalidOptionError } from '../errors';
import type { StoredSession } from '../storage/store/session_store';
import type { ChatMessage, Host } from '../worker/protocol';
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionParams } from './chat_types';
import type { ChatCompletions } from './completions';

/** Options of one answer; the messages are the session's, which goes on from one answer. */
export type SendOptions = Omit<ChatCompletionParams, 'messages' | 'stream' | 'n'>;

/**
 * A conversation that remembers its messages. Whatever of it was computed stays in the engine's cache as long as there is room, so an
 * answer costs the new message alone, and so does an answer of a fork.
 */
export class ChatSession {
  readonly #completions: ChatCompletions;
  readonly #host: () => Host;
  #messages: readonly ChatMessage[];
  #answering = false;

  constructor(completions: ChatCompletions, host: () => Host, messages: readonly ChatMessage[] = []) {
    this.#completions = completions;
    this.#host = host;
    this.#messages = messages.map(({ role, content }) => ({ role, content }));
  }

  /** What was said so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Says something and waits for the answer; both become part of the session when the answer is complete.
   * Rejects like `chat.completions.create`, and with InvalidOptionError while another answer is under way.
   */
  async send(content: string, options: SendOptions = {}): Promise<ChatCompletion> {
    const messages = this.#begin(content, options);
    try {
      const completion = await this.#completions.create({ ...options, messages, stream: false });
      this.#messages = [...messages, completion.choices[0].message];
      return completion;
    } finally {
      this.#answering = false;
    }
  }

  /** The same in chunks. An answer that is left early is no part of the session. */
  async *stream(content: string, options: SendOptions = {}): AsyncGenerator<ChatCompletionChunk, undefined> {
    const messages = this.#begin(content, options);
    try {
      let answer = '';
      for await (const chunk of await this.#completions.create({ ...options, messages, stream: true })) {
        answer += chunk.choices[0].delta.content ?? '';
        if (chunk.usage) this.#messages = [...messages, { role: 'assistant', content: answer }];
        yield chunk;
      }
    } finally {
      this.#answering = false;
    }
    return undefined;
  }

  /** Another session that begins with the same messages, and shares their memory. */
  fork(): ChatSession {
    return new ChatSession(this.#completions, this.#host, this.#messages);
  }

  /**
   * The session as bytes, with what is cached of it: `engine.loadSession` brings it back, under the same model only.
   * With a name it is stored in this browser instead, in place of what had the name before: `engine.loadSession(name)`,
   * `listStoredSessions()` and `deleteStoredSession(name)` find it there.
   * Rejects with InvalidOptionError for a session without messages, or where nothing can be stored, SourceError when there is no room.
   */
  save(): Promise<Uint8Array>;
  save(name: string): Promise<StoredSession>;
  async save(name?: string): Promise<Uint8Array | StoredSession> {
    const host = this.#host();
    return await (name === undefined ? host.saveChat(this.#messages) : host.storeChat(this.#messages, name));
  }

  #begin(content: string, options: SendOptions): ChatMessage[] {
    if (typeof content !== 'string') throw new InvalidOptionError('content', 'must be a string');
    if ('n' in options && (options.n ?? 1) !== 1) {
      throw new InvalidOptionError('n', 'a session goes on from one answer: fork it for others');
    }
    if (this.#answering) {
      throw new InvalidOptionError(
        'content',
        'an answer of this session is under way: wait for it, or fork the session',
      );
    }
    this.#answering = true;
    return [...this.#messages, { role: 'user', content }];
  }
}

/** What `ChatSession.save` gave, or the name that it was stored under. Throws InvalidOptionError for anything else. */
export function requireSaved(bytes: unknown): Uint8Array | string {
  if (typeof bytes === 'string' || bytes instanceof Uint8Array) return bytes;
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  throw new InvalidOptionError('bytes', 'must be a Uint8Array, an ArrayBuffer, or the name of a stored session');
}
