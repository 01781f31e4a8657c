import type { GenerationResult, SpeculationSettings } from '../engine/generation';
import type { Sample } from '../engine/runner';
import { resolveSampling } from '../engine/sampling';
import { AbortedError, throwIfAborted } from '../errors';
import { renderChat } from '../tokenizer/chat_template';
import { StreamingDecoder } from '../tokenizer/streaming_decoder';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { ActiveModel } from './active_model';
import { type AnswerPiece, AnswerStream } from './answer_stream';
import type { ChatEvent, ChatRequest, ChatUsage, ScoredToken, TokenLogprob } from './protocol';

/** What an answer needs of a model. */
type AnsweringModel = Pick<ActiveModel, 'tokenizer' | 'template' | 'engine' | 'vocabSize'> &
  Partial<Pick<ActiveModel, 'drafts'>>;

/** One answer as events; see `Host.chat`. Rejects with ContextLengthError, TemplateError, AbortedError or DeviceLostError. */
export async function* answerChat(
  model: AnsweringModel,
  request: ChatRequest,
  signal?: AbortSignal,
): AsyncGenerator<ChatEvent, undefined> {
  throwIfAborted(signal);
  const { tokenizer, template, engine } = model;
  const promptTokens = renderChat(tokenizer, template, request.messages);
  const sampling = resolveSampling(request.sampling, { vocabSize: model.vocabSize });

  const answer = new AnswerStream<ScoredToken>(new StreamingDecoder(tokenizer), request.stop);
  const wantsScores = sampling.topLogprobs >= 0;
  // The engine asks after every token whether to go on; the pieces wait here until they are read.
  const pieces: AnswerPiece<ScoredToken>[] = [];
  const left = new AbortController();
  const generation = engine.generate({
    promptTokens,
    maxTokens: request.maxTokens ?? engine.contextLength,
    sampling,
    priority: request.priority,
    stopTokens: tokenizer.stopTokens,
    oneByOne: request.stop.length > 0,
    speculation: speculationOf(request, model.drafts ?? false),
    signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
    onToken: (sample) => {
      pieces.push(answer.push(sample.token, wantsScores ? scored(tokenizer, sample) : undefined));
      return answer.stopped ? 'stop' : 'continue';
    },
  });
  try {
    yield { type: 'start', promptTokens: promptTokens.length };
    for await (const _ of generation) {
      const piece = pieces.shift();
      if (piece && !isEmpty(piece)) yield { type: 'delta', ...piece };
    }
    const result = await generation.finished;
    if (result.finishReason === 'abort') throw abortedAfter(result, signal);
    const rest = answer.finish();
    if (!isEmpty(rest)) yield { type: 'delta', ...rest };
    yield { type: 'end', finishReason: result.finishReason, usage: usageOf(result) };
  } finally {
    // A reader that leaves before the first token ends the generation too.
    left.abort();
  }
  return undefined;
}

function isEmpty({ text, scores }: AnswerPiece<ScoredToken>): boolean {
  return text === '' && scores.length === 0;
}

/** Where a draft model was loaded it drafts for every answer, unless that is switched off. */
function speculationOf({ speculation }: ChatRequest, drafts: boolean): SpeculationSettings | undefined {
  if (speculation === 'off') return undefined;
  return speculation ?? (drafts ? { ngram: true, draft: true } : undefined);
}

function usageOf({ promptTokens, outputTokens, cachedTokens, speculative, timings }: GenerationResult): ChatUsage {
  return {
    promptTokens: promptTokens.length,
    completionTokens: outputTokens.length,
    cachedTokens,
    speculative,
    timeToFirstTokenMs: timings.timeToFirstTokenMs,
    prefillMs: timings.prefillMs,
    decodeMs: timings.decodeMs,
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
