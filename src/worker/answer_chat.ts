import type { GenerationResult } from '../engine/generation_output';
import type { Sample } from '../engine/runner';
import { isVerifiable } from '../engine/sampler_chain';
import { resolveSampling } from '../engine/sampling';
import { totalSpeculation } from '../engine/speculation/speculator';
import type { SpeculationSettings } from '../engine/speculation/speculators';
import { loadStrategy } from '../engine/strategies/load';
import { AbortedError, throwIfAborted } from '../errors';
import { loadDryBreakers } from '../tokenizer/load_dry_breakers';
import { renderChat } from '../tokenizer/render_chat';
import { StreamingDecoder } from '../tokenizer/streaming_decoder';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { ActiveModel } from './active_model';
import { type AnswerPiece, AnswerStream } from './answer_stream';
import { chatOverflow } from './chat_overflow';
import { interleave } from './interleave';
import type { ChatEvent, ChatRequest, ChatUsage, ScoredToken, TokenLogprob } from './protocol';

/** What an answer needs of a model. */
type AnsweringModel = Pick<ActiveModel, 'tokenizer' | 'template' | 'engine' | 'formats' | 'vocabSize'> &
  Partial<Pick<ActiveModel, 'drafts'>>;

/**
 * Answers as events; see `Host.chat`. Rejects with InvalidOptionError, ContextLengthError, TemplateError, AbortedError or DeviceLostError.
 */
export async function* answerChat(
  model: AnsweringModel,
  request: ChatRequest,
  signal?: AbortSignal,
): AsyncGenerator<ChatEvent, undefined> {
  throwIfAborted(signal);
  const { tokenizer, template, engine } = model;
  const promptTokens = renderChat(tokenizer, template, request.messages);
  const sampling = resolveSampling(request.sampling, { vocabSize: model.vocabSize });
  const asked = request.strategy;
  const negativeTokens = request.negativeMessages && renderChat(tokenizer, template, request.negativeMessages);
  const strategy =
    asked && (await loadStrategy(asked.kind === 'guidance' && negativeTokens ? { ...asked, negativeTokens } : asked));
  const dryBreakers = await loadDryBreakers(tokenizer, sampling);
  const count = request.n ?? 1;
  const constraints = request.format ? await model.formats.constraints(request.format, count) : [];

  const wantsScores = sampling.topLogprobs >= 0;
  const left = new AbortController();
  const answers = Array.from({ length: count }, () => new PendingAnswer(tokenizer, request.stop));
  try {
    throwIfAborted(signal);
    const generations = engine.generateChoices(
      {
        promptTokens,
        maxTokens: request.maxTokens ?? engine.contextLength,
        sampling,
        dryBreakers,
        priority: request.priority,
        stopTokens: tokenizer.stopTokens,
        strategy,
        dola: request.dola,
        oneByOne: request.stop.length > 0,
        speculation: speculationOf(request, model.drafts ?? false),
        contextOverflow:
          request.contextOverflow &&
          chatOverflow(model, request.messages, promptTokens, request.contextOverflow, engine.contextLength),
        signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
      },
      count,
      (index) => ({
        constraint: constraints[index],
        onToken: (sample) => answers[index].push(sample.token, wantsScores ? scored(tokenizer, sample) : undefined),
      }),
    );
    yield { type: 'start', promptTokens: promptTokens.length };
    const results: GenerationResult[] = [];
    for await (const { index, item } of interleave(generations)) {
      const answer = answers[index];
      if (item) {
        const piece = answer.take();
        if (piece && !isEmpty(piece)) yield { type: 'delta', index, ...piece };
        continue;
      }
      const result = await generations[index].finished;
      if (result.finishReason === 'abort') throw abortedAfter(result, signal);
      const rest = answer.finish();
      if (!isEmpty(rest)) yield { type: 'delta', index, ...rest };
      results[index] = result;
      const last = Object.keys(results).length === count;
      yield { type: 'end', index, finishReason: result.finishReason, ...(last && { usage: usageOf(results) }) };
    }
  } finally {
    // A reader that leaves before the first token ends the generation too.
    left.abort();
    for (const constraint of constraints) constraint.dispose();
  }
  return undefined;
}

/** The text of one answer. The engine asks after every token whether to go on; the pieces wait here until they are read. */
class PendingAnswer {
  readonly #stream: AnswerStream<ScoredToken>;
  readonly #pieces: AnswerPiece<ScoredToken>[] = [];

  constructor(tokenizer: Tokenizer, stops: readonly string[]) {
    this.#stream = new AnswerStream<ScoredToken>(new StreamingDecoder(tokenizer), stops);
  }

  push(token: number, score: ScoredToken | undefined): 'stop' | 'continue' {
    this.#pieces.push(this.#stream.push(token, score));
    return this.#stream.stopped ? 'stop' : 'continue';
  }

  take(): AnswerPiece<ScoredToken> | undefined {
    return this.#pieces.shift();
  }

  finish(): AnswerPiece<ScoredToken> {
    return this.#stream.finish();
  }
}

function isEmpty({ text, scores }: AnswerPiece<ScoredToken>): boolean {
  return text === '' && scores.length === 0;
}

/** Where a draft model was loaded it drafts for every answer that can be drafted for, unless that is switched off. */
function speculationOf(
  { speculation, acceptance, strategy, sampling }: ChatRequest,
  drafts: boolean,
): SpeculationSettings | undefined {
  if (speculation === 'off' || ((strategy || !isVerifiable(sampling)) && !speculation)) return undefined;
  const settings = speculation ?? (drafts ? { ngram: true, draft: true } : undefined);
  return settings && { ...settings, acceptance };
}

/** Of all answers to a prompt; the first one computed it. */
function usageOf(results: readonly GenerationResult[]): ChatUsage {
  const [first] = results;
  const speculative = totalSpeculation(results.map((result) => result.speculative));
  const [overflow] = results
    .flatMap((result) => result.overflow ?? [])
    .sort((a, b) => b.droppedTokens - a.droppedTokens);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    promptTokens: first.promptTokens.length,
    completionTokens: sum(results.map(({ outputTokens }) => outputTokens.length)),
    cachedTokens: first.cachedTokens,
    ...(speculative && { speculative }),
    ...(overflow && { overflow }),
    timeToFirstTokenMs: first.timings.timeToFirstTokenMs,
    prefillMs: first.timings.prefillMs,
    decodeMs: Math.max(...results.map(({ timings }) => timings.decodeMs)),
  };
}

/** Says how far the answer had come. */
function abortedAfter({ promptTokens, outputTokens }: GenerationResult, signal: AbortSignal | undefined): AbortedError {
  const completionTokens = outputTokens.length;
  return new AbortedError(`aborted after ${completionTokens} tokens`, {
    details: { promptTokens: promptTokens.length, completionTokens },
    cause: signal?.reason,
  });
}

function scored(tokenizer: Tokenizer, sample: Sample): ScoredToken {
  return {
    ...logprobOf(tokenizer, sample.token, sample.logprob),
    top: sample.top.map(([token, logprob]) => logprobOf(tokenizer, token, logprob)),
  };
}

function logprobOf(tokenizer: Tokenizer, token: number, logprob: number): TokenLogprob {
  return { token: tokenizer.tokenText(token), bytes: [...tokenizer.tokenBytes(token)], logprob };
}
