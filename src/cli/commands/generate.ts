import type { OverflowSettings } from '../../engine/context_overflow';
import { Engine } from '../../engine/engine';
import type { Generation, GenerationResult } from '../../engine/generation_output';
import { ACCEPTANCES, defaultAcceptance, isAcceptance } from '../../engine/speculation/acceptance';
import { MAX_DRAFT_LENGTH } from '../../engine/speculation/draft_length';
import { totalSpeculation } from '../../engine/speculation/speculator';
import { loadStrategy } from '../../engine/strategies/load';
import { ContextLengthError, InvalidOptionError } from '../../errors';
import type { LoadedModel } from '../../model/load_model';
import { AnswerFormats } from '../../structured/answer_formats';
import { chatTemplate } from '../../tokenizer/chat_template';
import { checkDraft } from '../../tokenizer/draft_vocabulary';
import { loadDryBreakers } from '../../tokenizer/load_dry_breakers';
import { loadTokenizer } from '../../tokenizer/load_tokenizer';
import { renderChat } from '../../tokenizer/render_chat';
import { StreamingDecoder } from '../../tokenizer/streaming_decoder';
import type { Tokenizer } from '../../tokenizer/tokenizer';
import { Arguments } from '../arguments';
import { formatOf } from '../format_of';
import { openModel } from '../open_model';
import { notice, printJson, printLine } from '../output';
import { readSampling, SAMPLING_OPTIONS } from '../sampling_options';
import { loadSession, readSessionFiles, saveSession } from '../saved_session';
import { readDola, readStrategy, STRATEGY_OPTIONS } from '../strategy_options';

/** Streams text that follows a prompt, or the answer to it with --chat. */
export async function generateCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    prompt: { type: 'string', short: 'p' },
    chat: { type: 'boolean' },
    'max-tokens': { type: 'string', short: 'n' },
    ...SAMPLING_OPTIONS,
    ...STRATEGY_OPTIONS,
    draft: { type: 'string' },
    ngram: { type: 'boolean' },
    'draft-length': { type: 'string' },
    'draft-acceptance': { type: 'string' },
    'context-overflow': { type: 'string' },
    sinks: { type: 'string' },
    window: { type: 'string' },
    'json-schema': { type: 'string' },
    grammar: { type: 'string' },
    regex: { type: 'string' },
    'load-session': { type: 'string' },
    'save-session': { type: 'string' },
  });
  const prompt = args.text('prompt');
  if (prompt === undefined) throw new InvalidOptionError('-p', 'the prompt is missing');
  const strategy = readStrategy(args);
  const settings = readSampling(args);
  // It says how many candidates there are.
  const sampling = strategy?.kind === 'contrastive' ? { ...settings, topK: 0 } : settings;
  const negative = args.text('negative-prompt');
  if (negative !== undefined && strategy?.kind !== 'guidance')
    throw new InvalidOptionError('--negative-prompt', 'goes with --guidance');
  const dola = readDola(args);
  const format = await formatOf(args);
  if (format && (strategy || dola)) {
    throw new InvalidOptionError(
      strategy ? `--${strategy.kind}` : '--dola',
      'does not go with --json-schema, --grammar and --regex',
    );
  }
  const limit = args.integer('max-tokens', 1);
  const count = args.integer('n', 1) ?? 1;
  const draftPath = args.text('draft');
  const draftLength = args.integer('draft-length', 1);
  const ngram = args.flag('ngram');
  const speculates = ngram || draftPath !== undefined;
  if (draftLength !== undefined && !speculates)
    throw new InvalidOptionError('--draft-length', 'goes with --draft or --ngram');
  if (draftLength !== undefined && draftLength > MAX_DRAFT_LENGTH)
    throw new InvalidOptionError('--draft-length', `${draftLength} is not an integer from 1 to ${MAX_DRAFT_LENGTH}`);
  const acceptance = args.text('draft-acceptance') ?? defaultAcceptance(args.text('seed') !== undefined);
  if (!isAcceptance(acceptance)) {
    throw new InvalidOptionError('--draft-acceptance', `"${acceptance}" is not one of ${ACCEPTANCES.join(', ')}`);
  }
  if (draftPath === undefined && args.text('draft-acceptance') !== undefined)
    throw new InvalidOptionError('--draft-acceptance', 'goes with --draft');

  const contextOverflow = readOverflow(args);
  const session = readSessionFiles(args, count);

  const model = await openModel(args, { compileInBackground: true });
  let draft: LoadedModel | undefined;
  try {
    const tokenizer = await loadTokenizer(model.gguf);
    const { contextLength } = model.description;
    if (draftPath !== undefined) {
      draft = await openModel(args, { path: draftPath, gpu: model.device?.gpu, compileInBackground: true });
      checkDraft(model, draft);
    }
    const formats = new AnswerFormats(tokenizer, model.runner.limits.vocabSize);
    const constraints = format ? await formats.constraints(format, count) : [];
    const engine = new Engine(model.runner, { draft: draft?.runner });
    const template = args.flag('chat') ? chatTemplate(model.gguf, tokenizer) : undefined;
    const before = session.load === undefined ? [] : await loadSession(engine, session.load);
    const messages = [...before, { role: 'user', content: prompt } as const];
    const tokensOf = (text: string): number[] =>
      template
        ? renderChat(tokenizer, template, [...before, { role: 'user', content: text }])
        : tokenizer.encode(text, { bos: 'auto' });
    const promptTokens = tokensOf(prompt);
    if (promptTokens.length === 0) throw new InvalidOptionError('-p', 'the prompt has no tokens');
    if (promptTokens.length >= contextLength && !contextOverflow)
      throw new ContextLengthError(promptTokens.length, contextLength);
    const generations = engine.generateChoices(
      {
        promptTokens,
        maxTokens: limit ?? contextLength,
        contextOverflow,
        sampling,
        dryBreakers: await loadDryBreakers(tokenizer, sampling),
        strategy:
          strategy &&
          (await loadStrategy(
            strategy.kind === 'guidance' && negative !== undefined
              ? { ...strategy, negativeTokens: tokensOf(negative) }
              : strategy,
          )),
        dola,
        stopTokens: tokenizer.stopTokens,
        speculation: speculates ? { ngram, draft: draft !== undefined, length: draftLength, acceptance } : undefined,
      },
      count,
      (index) => ({ constraint: constraints[index] }),
    );
    // Several answers at once are printed one after the other.
    const live = count === 1 && !args.json;
    const answers = await Promise.all(generations.map((generation) => readAnswer(generation, tokenizer, live)));
    printAnswers(answers, promptTokens, args.json);
    if (template && session.save !== undefined) {
      const said = [...messages, { role: 'assistant', content: answers[0].text } as const];
      await saveSession({ tokenizer, template, engine }, said, session.save);
    }
    engine.dispose();
  } finally {
    draft?.dispose();
    model.dispose();
  }
}

/** What becomes of a text that outgrows the context. */
function readOverflow(args: Arguments): OverflowSettings | undefined {
  const mode = args.text('context-overflow') ?? 'error';
  if (mode !== 'error' && mode !== 'slide')
    throw new InvalidOptionError('--context-overflow', `"${mode}" is neither error nor slide`);
  const settings = { sinks: args.integer('sinks', 0), window: args.integer('window', 1) };
  if (mode === 'slide') return settings;
  for (const name of ['sinks', 'window'] as const) {
    if (settings[name] !== undefined) throw new InvalidOptionError(`--${name}`, 'goes with --context-overflow slide');
  }
  return undefined;
}

interface Answer {
  readonly text: string;
  readonly result: GenerationResult;
}

async function readAnswer(generation: Generation, tokenizer: Tokenizer, live: boolean): Promise<Answer> {
  const decoder = new StreamingDecoder(tokenizer);
  let text = '';
  const emit = (piece: string): void => {
    text += piece;
    if (live) process.stdout.write(piece);
  };
  for await (const { token } of generation) emit(decoder.push(token));
  emit(decoder.flush());
  if (live) process.stdout.write('\n');
  return { text, result: await generation.finished };
}

function printAnswers(answers: readonly Answer[], promptTokens: readonly number[], json: boolean): void {
  const [first] = answers;
  const { cachedTokens, timings } = first.result;
  const speculative = totalSpeculation(answers.map(({ result }) => result.speculative));
  const [overflow] = answers
    .flatMap(({ result }) => result.overflow ?? [])
    .sort((a, b) => b.droppedTokens - a.droppedTokens);
  const completionTokens = answers.reduce((sum, { result }) => sum + result.outputTokens.length, 0);
  const decodeMs = Math.max(...answers.map(({ result }) => result.timings.decodeMs));
  const usage = {
    prompt_tokens: promptTokens.length,
    completion_tokens: completionTokens,
    total_tokens: promptTokens.length + completionTokens,
    cachedTokens,
    ...(speculative && { speculative }),
    ...(overflow && { contextOverflow: { shifts: overflow.shifts, droppedTokens: overflow.droppedTokens } }),
    time_to_first_token_s: timings.timeToFirstTokenMs / 1000,
    prefill_tokens_per_s: perSecond(
      promptTokens.length - (overflow?.droppedPromptTokens ?? 0) - cachedTokens,
      timings.prefillMs,
    ),
    decode_tokens_per_s: perSecond(completionTokens - 1, decodeMs),
  };
  if (json) {
    const choices = answers.map(({ text, result: { outputTokens: tokens, finishReason } }, index) => ({
      index,
      text,
      tokens,
      finishReason,
    }));
    const [{ text, tokens, finishReason }] = choices;
    return printJson({ text, tokens, promptTokens, finishReason, ...(choices.length > 1 && { choices }), usage });
  }
  if (answers.length > 1) answers.forEach(({ text }, i) => printLine(`[${i}] ${text}`));
  const reasons = answers.map(({ result }) => result.finishReason).join(', ');
  if (overflow && overflow.shifts > 0)
    notice(`the context was full ${overflow.shifts} times: ${overflow.droppedTokens} tokens were dropped`);
  if (speculative?.failure !== undefined) notice(`the draft model failed: ${speculative.failure}`);
  notice(
    `${usage.prompt_tokens} prompt tokens, ${usage.completion_tokens} generated (${reasons}); first token after ${usage.time_to_first_token_s.toFixed(2)} s, ${usage.decode_tokens_per_s.toFixed(1)} tokens/s`,
  );
}

function perSecond(tokens: number, ms: number): number {
  return tokens > 0 && ms > 0 ? (tokens / ms) * 1000 : 0;
}
