import { AbortedError, type ChatCompletionMessage, type TesseraEngine, type Usage } from '../../index';
import { button, el } from './dom';
import { describeError } from './errors';
import { ExchangeView } from './exchange_view';
import { formatWhole } from './format';
import type { ChatSettings } from './settings';

interface Exchange {
  readonly question: string;
  readonly view: ExchangeView;
  /** Answered exchanges are what the model is told of the chat so far; failed ones are not. */
  state: 'running' | 'answered' | 'failed';
}

interface ChatSurroundings {
  readonly scroller: HTMLElement;
  readonly list: HTMLElement;
  settings(): ChatSettings;
  /** Said by screen readers when it is complete, never token by token. */
  announce(text: string): void;
  /** The chat has begun or is empty again; an answer runs or does not. */
  onChange(): void;
  startNewChat(): void;
}

/** Distance from the end, in CSS pixels, within which the view follows a growing answer. */
const FOLLOW_DISTANCE = 64;

/** One conversation: what was said, the answer that is being made, and its view. */
export class Chat {
  readonly #around: ChatSurroundings;
  #exchanges: Exchange[] = [];
  #running: AbortController | undefined;

  constructor(around: ChatSurroundings) {
    this.#around = around;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  get empty(): boolean {
    return this.#exchanges.length === 0;
  }

  async ask(engine: TesseraEngine, question: string): Promise<void> {
    if (this.#running) return;
    this.#removeFailed();
    for (const { view } of this.#exchanges) view.setActions(copyButton(view));
    const view = new ExchangeView(this.#around.list, question, (render) => this.#follow(render));
    const exchange: Exchange = { question, view, state: 'running' };
    this.#exchanges.push(exchange);
    this.#scrollToEnd();
    await this.#answer(engine, exchange);
  }

  stop(): void {
    this.#running?.abort();
  }

  clear(): void {
    this.stop();
    this.#running = undefined;
    this.#exchanges = [];
    this.#around.list.replaceChildren();
    this.#around.onChange();
  }

  async #again(engine: TesseraEngine, exchange: Exchange): Promise<void> {
    if (this.#running) return;
    exchange.state = 'running';
    exchange.view.restart();
    await this.#answer(engine, exchange);
  }

  async #answer(engine: TesseraEngine, exchange: Exchange): Promise<void> {
    const { view } = exchange;
    const controller = new AbortController();
    this.#running = controller;
    this.#around.onChange();
    try {
      const { usage, finishReason } = await this.#stream(engine, exchange, controller.signal);
      const { info } = engine;
      this.#around.announce(view.finish(info, usage, noteOn(usage, finishReason)));
      this.#answered(engine, exchange);
    } catch (error) {
      if (error instanceof AbortedError) {
        const tokens = error.details['completionTokens'];
        this.#around.announce(`${view.stopped(typeof tokens === 'number' ? tokens : undefined)} Stopped.`);
        this.#answered(engine, exchange);
      } else {
        this.#failed(engine, exchange, error);
      }
    } finally {
      if (this.#running === controller) this.#running = undefined;
      this.#around.onChange();
    }
  }

  async #stream(
    engine: TesseraEngine,
    exchange: Exchange,
    signal: AbortSignal,
  ): Promise<{ usage: Usage; finishReason: string }> {
    const { systemPrompt, ...sampling } = this.#around.settings();
    const messages = this.#messages(systemPrompt, exchange.question);
    // A chat does not end where the context does.
    const params = { messages, ...sampling, stream: true, context_overflow: 'slide', signal } as const;
    for await (const chunk of await engine.chat.completions.create(params)) {
      const [{ delta, finish_reason: finishReason }] = chunk.choices;
      if (delta.content) exchange.view.append(delta.content);
      if (finishReason && chunk.usage) return { usage: chunk.usage, finishReason };
    }
    throw new Error('the answer ended without its last chunk');
  }

  #messages(systemPrompt: string, question: string): ChatCompletionMessage[] {
    const answered = this.#exchanges.filter(({ state }) => state === 'answered');
    return [
      ...(systemPrompt ? [{ role: 'system', content: systemPrompt } as const] : []),
      ...answered.flatMap(({ question, view }) => [
        { role: 'user', content: question } as const,
        { role: 'assistant', content: view.text } as const,
      ]),
      { role: 'user', content: question },
    ];
  }

  #answered(engine: TesseraEngine, exchange: Exchange): void {
    exchange.state = 'answered';
    const { view } = exchange;
    const again = button('Try again', () => void this.#again(engine, exchange), 'small-button');
    view.setActions(copyButton(view), again);
  }

  #failed(engine: TesseraEngine, exchange: Exchange, error: unknown): void {
    exchange.state = 'failed';
    const newChat = { label: 'New chat', run: () => this.#around.startNewChat() };
    const again = { label: 'Try again', run: () => void this.#again(engine, exchange) };
    exchange.view.fail(describeError(error), again, newChat);
  }

  #removeFailed(): void {
    for (const { view, state } of this.#exchanges) if (state === 'failed') view.remove();
    this.#exchanges = this.#exchanges.filter(({ state }) => state !== 'failed');
  }

  /** Stays at the end when the reader is there, and leaves a reader who has scrolled up where they are. */
  #follow(render: () => void): void {
    const { scroller } = this.#around;
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < FOLLOW_DISTANCE;
    render();
    if (atEnd) this.#scrollToEnd();
  }

  #scrollToEnd(): void {
    const { scroller } = this.#around;
    scroller.scrollTop = scroller.scrollHeight;
  }
}

/** What the reader has to know of an answer. */
function noteOn({ context_overflow: overflow }: Usage, finishReason: string): string | undefined {
  const notes: string[] = [];
  if (overflow && overflow.dropped_tokens > 0) {
    const dropped = formatWhole(overflow.dropped_tokens);
    notes.push(`This chat has outgrown the model’s context: it no longer sees ${dropped} tokens from the middle.`);
  }
  if (finishReason === 'length') notes.push('The answer was cut: it reached the longest length.');
  return notes.length > 0 ? notes.join(' ') : undefined;
}

function copyButton(view: ExchangeView): HTMLButtonElement {
  const copy = el('button', { type: 'button', class: 'small-button' }, 'Copy');
  const show = (label: string) => {
    copy.textContent = label;
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, 1500);
  };
  copy.addEventListener('click', () => {
    navigator.clipboard.writeText(view.text).then(
      () => show('Copied'),
      () => show('Not allowed'),
    );
  });
  return copy;
}
