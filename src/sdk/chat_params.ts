/** From what a caller wrote to a checked request. Everything that is not understood is an `InvalidOptionError` that names it. */
import { MAX_CHOICES } from '../engine/choices';
import { parseDolaLayers } from '../engine/dola';
import { MAX_PRIORITY } from '../engine/request_checks';
import { GREEDY } from '../engine/runner';
import { parseSampling, SAMPLING_FIELDS } from '../engine/sampling';
import { ACCEPTANCES, defaultAcceptance, isAcceptance } from '../engine/speculation/acceptance';
import { MAX_DRAFT_LENGTH } from '../engine/speculation/draft_length';
import { parseStrategy, STRATEGY_FIELDS } from '../engine/strategies/parse';
import { InvalidOptionError } from '../errors';
import { parseResponseFormat } from '../structured/response_format';
import type { ChatMessage, ChatRequest } from '../worker/protocol';
import type { ChatCompletionParams } from './chat_types';

const ROLES: readonly string[] = ['system', 'user', 'assistant', 'tool'] satisfies ChatMessage['role'][];

const OTHER_FIELDS: readonly string[] = [
  'messages',
  'model',
  'stream',
  'n',
  'max_tokens',
  'stop',
  'priority',
  'response_format',
  'speculation',
  'dola_layers',
  'context_overflow',
  'negative_messages',
  'signal',
] satisfies (keyof ChatCompletionParams)[];

/** OpenAI's options that this version does not have, and what to do instead. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  tools: 'tool calls are not supported',
  tool_choice: 'tool calls are not supported',
  parallel_tool_calls: 'tool calls are not supported',
  functions: 'tool calls are not supported',
  function_call: 'tool calls are not supported',
  max_completion_tokens: 'not supported; use max_tokens',
  stream_options: 'not supported; usage is always in the last chunk',
  audio: 'only text is supported',
  modalities: 'only text is supported',
};

/** What absent sampling options mean: the model's own distribution, as OpenAI has it. */
const DEFAULT_SAMPLING = { ...GREEDY, temperature: 1 };

const MAX_STOPS = 4;

/** The request that `params` ask for. `model` is the name of the model that is loaded. Options that are null count as absent. */
export function parseChatParams(params: ChatCompletionParams, model: string): ChatRequest {
  requireObject('params', params);
  const given = Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined && value !== null));
  for (const field of Object.keys(given)) {
    if ([OTHER_FIELDS, SAMPLING_FIELDS, STRATEGY_FIELDS].some((known) => known.includes(field))) continue;
    throw new InvalidOptionError(field, Object.hasOwn(UNSUPPORTED, field) ? UNSUPPORTED[field] : 'unknown option');
  }
  const { stream = false, model: asked = model, signal } = given;
  if (typeof stream !== 'boolean') throw new InvalidOptionError('stream', 'must be true or false');
  if (asked !== model)
    throw new InvalidOptionError('model', `"${String(asked)}" is not loaded; the model here is "${model}"`);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidOptionError('signal', 'must be an AbortSignal');
  }
  if (given['top_logprobs'] !== undefined && given['logprobs'] !== true) {
    throw new InvalidOptionError('top_logprobs', 'needs logprobs: true');
  }
  const strategy = parseStrategy(given);
  const negative = given['negative_messages'];
  if (negative !== undefined && strategy?.kind !== 'guidance') {
    throw new InvalidOptionError('negative_messages', 'goes with a guidance_scale other than 1');
  }
  const stop = parseStop(given['stop']);
  if (strategy?.kind === 'beams' && stop.length > 0) {
    throw new InvalidOptionError('stop', 'does not go with beam search, whose text comes when the search is over');
  }
  const format = parseResponseFormat(given['response_format']);
  if (strategy && format) throw new InvalidOptionError('response_format', 'does not go with a search or with guidance');
  const dola = parseDolaLayers(given['dola_layers']);
  if (dola && format) throw new InvalidOptionError('response_format', 'does not go with dola_layers');
  // Of contrastive search it is the number of candidates.
  const isSampling = (field: string): boolean =>
    SAMPLING_FIELDS.includes(field) && !(field === 'top_k' && strategy?.kind === 'contrastive');
  const sampling = Object.fromEntries(Object.entries(given).filter(([field]) => isSampling(field)));
  return {
    messages: parseMessages('messages', given['messages']),
    n: parseChoices(given['n']),
    maxTokens: parseMaxTokens(given['max_tokens']),
    stop,
    priority: parsePriority(given['priority']),
    ...parseSpeculation(given['speculation'], given['seed'] !== undefined && given['seed'] !== null),
    sampling: parseSampling(sampling, {
      defaults: strategy && strategy.kind !== 'guidance' ? GREEDY : DEFAULT_SAMPLING,
    }),
    strategy,
    negativeMessages: negative === undefined ? undefined : parseMessages('negative_messages', negative),
    dola,
    contextOverflow: parseOverflow(given['context_overflow']),
    format,
  };
}

function parseMessages(field: string, messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new InvalidOptionError(field, 'must be a list of at least one message');
  }
  return messages.map((message: unknown, i) => parseMessage(message, `${field}[${i}]`));
}

function parseMessage(message: unknown, at: string): ChatMessage {
  requireObject(at, message);
  for (const field of Object.keys(message)) {
    if (field !== 'role' && field !== 'content' && message[field] !== undefined) {
      throw new InvalidOptionError(`${at}.${field}`, 'not supported; a message has a role and content');
    }
  }
  const { role, content } = message;
  if (!isRole(role)) throw new InvalidOptionError(`${at}.role`, `must be one of ${ROLES.join(', ')}`);
  return { role, content: parseContent(content, `${at}.content`) };
}

function isRole(role: unknown): role is ChatMessage['role'] {
  return typeof role === 'string' && ROLES.includes(role);
}

function parseContent(content: unknown, at: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw new InvalidOptionError(at, 'must be a string or a list of text parts');
  return content.map((part: unknown, i) => parsePart(part, `${at}[${i}]`)).join('');
}

function parsePart(part: unknown, at: string): string {
  requireObject(at, part);
  if (part['type'] !== 'text') {
    throw new InvalidOptionError(`${at}.type`, `"${String(part['type'])}" is not supported; only "text" is`);
  }
  if (typeof part['text'] !== 'string') throw new InvalidOptionError(`${at}.text`, 'must be a string');
  return part['text'];
}

function parseChoices(n: unknown): number | undefined {
  if (n === undefined) return undefined;
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 1 || n > MAX_CHOICES) {
    throw new InvalidOptionError('n', `must be an integer from 1 to ${MAX_CHOICES}`);
  }
  return n;
}

function parseMaxTokens(maxTokens: unknown): number | undefined {
  if (maxTokens === undefined) return undefined;
  if (typeof maxTokens !== 'number' || !Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new InvalidOptionError('max_tokens', 'must be a positive integer');
  }
  return maxTokens;
}

function parseSpeculation(speculation: unknown, seeded: boolean): Pick<ChatRequest, 'speculation' | 'acceptance'> {
  if (speculation === false) return { speculation: 'off' };
  const byDefault = defaultAcceptance(seeded);
  if (speculation === undefined) return { acceptance: byDefault };
  requireObject('speculation', speculation);
  const { ngram = false, draft = false, length, acceptance = byDefault, ...rest } = speculation;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new InvalidOptionError(`speculation.${unknown}`, 'unknown option');
  if (typeof ngram !== 'boolean') throw new InvalidOptionError('speculation.ngram', 'must be true or false');
  if (typeof draft !== 'boolean') throw new InvalidOptionError('speculation.draft', 'must be true or false');
  if (length !== undefined && !isDraftLength(length)) {
    throw new InvalidOptionError('speculation.length', `must be an integer from 1 to ${MAX_DRAFT_LENGTH}`);
  }
  if (!isAcceptance(acceptance)) {
    throw new InvalidOptionError('speculation.acceptance', `must be one of ${ACCEPTANCES.join(', ')}`);
  }
  return { speculation: { ngram, draft, length }, acceptance };
}

/** What the numbers have to be depends on the model's context: the engine says. */
function parseOverflow(overflow: unknown): ChatRequest['contextOverflow'] {
  if (overflow === undefined || overflow === 'error') return undefined;
  if (overflow === 'slide') return {};
  if (typeof overflow === 'string') {
    throw new InvalidOptionError('context_overflow', 'must be "error", "slide" or an object');
  }
  requireObject('context_overflow', overflow);
  const { sinks, window, ...rest } = overflow;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new InvalidOptionError(`context_overflow.${unknown}`, 'unknown option');
  if (sinks !== undefined && typeof sinks !== 'number') {
    throw new InvalidOptionError('context_overflow.sinks', 'must be a number');
  }
  if (window !== undefined && typeof window !== 'number') {
    throw new InvalidOptionError('context_overflow.window', 'must be a number');
  }
  return { sinks, window };
}

function isDraftLength(length: unknown): length is number {
  return typeof length === 'number' && Number.isSafeInteger(length) && length >= 1 && length <= MAX_DRAFT_LENGTH;
}

function parsePriority(priority: unknown): number | undefined {
  if (priority === undefined) return undefined;
  if (typeof priority !== 'number' || !Number.isSafeInteger(priority) || Math.abs(priority) > MAX_PRIORITY) {
    throw new InvalidOptionError('priority', `must be an integer from -${MAX_PRIORITY} to ${MAX_PRIORITY}`);
  }
  return priority;
}

function parseStop(stop: unknown): readonly string[] {
  if (stop === undefined) return [];
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  if (stops.length > MAX_STOPS)
    throw new InvalidOptionError('stop', `at most ${MAX_STOPS} strings, not ${stops.length}`);
  return stops.map((text) => {
    if (typeof text !== 'string' || text === '')
      throw new InvalidOptionError('stop', 'must be strings that are not empty');
    return text;
  });
}

function requireObject(field: string, value: unknown): asserts value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidOptionError(field, 'must be an object');
  }
}
