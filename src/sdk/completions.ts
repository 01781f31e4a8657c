import type { ChatEvent, ChatUsage, Host, ScoredToken, TokenLogprob } from '../worker/protocol';
import { parseChatParams } from './chat_params';
import type {
  ChatChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionParams,
  ChatCompletionParamsNonStreaming,
  ChatCompletionParamsStreaming,
  ChatLogprobs,
  FinishReason,
  TopLogprob,
  Usage,
} from './chat_types';

/** What all chunks of one answer share. */
interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** `engine.chat.completions`, in OpenAI's shape. */
export class ChatCompletions {
  readonly #host: () => Host;
  readonly #model: () => string;

  constructor(host: () => Host, model: () => string) {
    this.#host = host;
    this.#model = model;
  }

  /**
   * Answers a chat. With `stream: true` the promise resolves when the prompt is accepted, to chunks as they are made; the last
   * one has `finish_reason` and `usage`. Leaving the loop early stops the answer.
   * Rejects with InvalidOptionError, ContextLengthError, TemplateError, AbortedError, DeviceLostError, WorkerLostError.
   */
  create(params: ChatCompletionParamsStreaming): Promise<AsyncIterableIterator<ChatCompletionChunk>>;
  create(params: ChatCompletionParamsNonStreaming): Promise<ChatCompletion>;
  create(params: ChatCompletionParams): Promise<ChatCompletion | AsyncIterableIterator<ChatCompletionChunk>>;
  async create(params: ChatCompletionParams): Promise<ChatCompletion | AsyncIterableIterator<ChatCompletionChunk>> {
    const request = parseChatParams(params, this.#model());
    const head: AnswerHead = {
      id: `chatcmpl-${randomId()}`,
      created: Math.floor(Date.now() / 1000),
      model: this.#model(),
    };
    const events = this.#host().chat(request, params.signal);
    const wantsLogprobs = params.logprobs === true;
    if (!params.stream) return await collect(head, events, wantsLogprobs);
    await events.next(); // `start`: or the error of a prompt that is refused.
    return chunks(head, events, request.n ?? 1, wantsLogprobs);
  }
}

async function collect(head: AnswerHead, events: AsyncIterable<ChatEvent>, logprobs: boolean): Promise<ChatCompletion> {
  const answers: { content: string; scores: ScoredToken[]; finish: FinishReason }[] = [];
  const answer = (index: number) => (answers[index] ??= { content: '', scores: [], finish: 'stop' });
  let usage: ChatUsage | undefined;
  for await (const event of events) {
    if (event.type === 'delta') {
      answer(event.index).content += event.text;
      answer(event.index).scores.push(...event.scores);
    } else if (event.type === 'end') {
      answer(event.index).finish = event.finishReason;
      usage = event.usage ?? usage;
    }
  }
  const choices = answers.map(
    ({ content, scores, finish }, index): ChatChoice => ({
      index,
      message: { role: 'assistant', content },
      finish_reason: finish,
      logprobs: logprobs ? toLogprobs(scores) : null,
    }),
  );
  return {
    ...head,
    object: 'chat.completion',
    choices: choices as [ChatChoice, ...ChatChoice[]],
    usage: toUsage(usage as ChatUsage),
  };
}

async function* chunks(
  head: AnswerHead,
  events: AsyncIterableIterator<ChatEvent>,
  count: number,
  logprobs: boolean,
): AsyncGenerator<ChatCompletionChunk, undefined> {
  const chunk = (
    index: number,
    delta: ChatCompletionChunk['choices'][0]['delta'],
    scores: readonly ScoredToken[] = [],
    finish: FinishReason | null = null,
  ): ChatCompletionChunk => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [
      { index, delta, finish_reason: finish, logprobs: logprobs && scores.length > 0 ? toLogprobs(scores) : null },
    ],
  });
  for (let index = 0; index < count; index++) yield chunk(index, { role: 'assistant', content: '' });
  for await (const event of events) {
    if (event.type === 'delta') yield chunk(event.index, { content: event.text }, event.scores);
    else if (event.type === 'end') {
      const { index, finishReason, usage } = event;
      yield { ...chunk(index, {}, [], finishReason), ...(usage && { usage: toUsage(usage) }) };
    }
  }
  return undefined;
}

function toUsage(usage: ChatUsage): Usage {
  const { promptTokens, completionTokens, cachedTokens, overflow } = usage;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(usage.speculative && { speculative: usage.speculative }),
    ...(overflow && { context_overflow: { shifts: overflow.shifts, dropped_tokens: overflow.droppedTokens } }),
    time_to_first_token_s: usage.timeToFirstTokenMs / 1000,
    prefill_tokens_per_s: perSecond(
      promptTokens - (overflow?.droppedPromptTokens ?? 0) - cachedTokens,
      usage.prefillMs,
    ),
    // The first token came out of prefill.
    decode_tokens_per_s: perSecond(completionTokens - 1, usage.decodeMs),
  };
}

function perSecond(count: number, milliseconds: number): number {
  return count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}

function toLogprobs(scores: readonly ScoredToken[]): ChatLogprobs {
  return { content: scores.map((score) => ({ ...toTopLogprob(score), top_logprobs: score.top.map(toTopLogprob) })) };
}

function toTopLogprob({ token, logprob, bytes }: TokenLogprob): TopLogprob {
  return { token, logprob, bytes };
}

function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
