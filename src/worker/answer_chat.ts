import type { Sample } from '../engine/runner';
import { resolveSampling } from '../engine/sampling';
import { ContextLengthError, throwIfAborted } from '../errors';
import { renderChat } from '../tokenizer/chat_template';
import { StreamingDecoder } from '../tokenizer/streaming_decoder';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { ActiveModel } from './active_model';
import { type AnswerPiece, AnswerStream } from './answer_stream';
import type { ChatEvent, ChatRequest, ScoredToken, TokenLogprob } from './protocol';

/** One answer as events; see `Host.chat`. Rejects with ContextLengthError, TemplateError, AbortedError or DeviceLostError. */
export async function* answerChat(
  model: ActiveModel,
  request: ChatRequest,
  signal?: AbortSignal,
): AsyncGenerator<ChatEvent, undefined> {
  throwIfAborted(signal);
  const { tokenizer, template, contextLength } = model;
  const promptTokens = renderChat(tokenizer, template, request.messages);
  if (promptTokens.length >= contextLength) throw new ContextLengthError(promptTokens.length, contextLength);
  const sampling = resolveSampling(request.sampling, { vocabSize: model.vocabSize });

  const answer = new AnswerStream<ScoredToken>(new StreamingDecoder(tokenizer), request.stop);
  const wantsScores = sampling.topLogprobs >= 0;
  // The engine asks after every token whether to go on; the pieces wait here until they are read.
  const pieces: AnswerPiece<ScoredToken>[] = [];
  const generation = model.engine.generate({
    promptTokens,
    maxTokens: Math.min(request.maxTokens ?? contextLength, contextLength - promptTokens.length),
    sampling,
    stopTokens: tokenizer.stopTokens,
    signal,
    onToken: (sample) => {
      pieces.push(answer.push(sample.token, wantsScores ? scored(tokenizer, sample) : undefined));
      return answer.stopped ? 'stop' : 'continue';
    },
  });
  yield { type: 'start', promptTokens: promptTokens.length };
  for await (const _ of generation) {
    const piece = pieces.shift();
    if (piece && (piece.text || piece.scores.length > 0)) yield { type: 'delta', ...piece };
  }
  const result = await generation.finished;
  throwIfAborted(signal);
  const rest = answer.finish();
  if (rest.text || rest.scores.length > 0) yield { type: 'delta', ...rest };
  yield {
    type: 'end',
    finishReason: result.finishReason === 'length' && !answer.stopped ? 'length' : 'stop',
    usage: {
      promptTokens: promptTokens.length,
      completionTokens: result.outputTokens.length,
      timeToFirstTokenMs: result.timings.timeToFirstTokenMs,
      prefillMs: result.timings.prefillMs,
      decodeMs: result.timings.decodeMs,
    },
  };
  return undefined;
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
