import type { ModelInfo, Usage } from '../../index';
import { button, el } from './dom';
import { formatAdapter, formatRate, formatSeconds, formatWhole } from './format';
import { MarkdownView } from './markdown';

/** Milliseconds between two renderings of an answer that grows; a timer, so that hidden tabs go on. */
const RENDER_INTERVAL = 40;

/** One question and its answer on the page. */
export class ExchangeView {
  readonly #user: HTMLLIElement;
  readonly #answer: HTMLLIElement;
  readonly #markdown: MarkdownView;
  readonly #foot: HTMLElement;
  readonly #onRender: (render: () => void) => void;
  #text = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onRender` runs whatever changes the height, so that the page can keep its place. */
  constructor(list: HTMLElement, question: string, onRender: (render: () => void) => void) {
    this.#onRender = onRender;
    this.#user = el('li', { class: 'turn user' }, speaker('You'), el('div', { class: 'bubble' }, question));
    const body = el('div', { class: 'markdown' });
    this.#markdown = new MarkdownView(body);
    this.#foot = el('div', { class: 'turn-foot' });
    this.#answer = el('li', { class: 'turn answer', 'aria-busy': 'true' }, speaker('Answer'), body, this.#foot);
    onRender(() => list.append(this.#user, this.#answer));
  }

  get text(): string {
    return this.#text;
  }

  /** Back to an empty answer, for another try. */
  restart(): void {
    this.#text = '';
    this.#answer.ariaBusy = 'true';
    this.#foot.replaceChildren();
    this.#renderNow();
  }

  append(text: string): void {
    this.#text += text;
    this.#timer ??= setTimeout(() => this.#renderNow(), RENDER_INTERVAL);
  }

  /** The answer is complete; what was measured is shown below it. Returns it as plain text, for a screen reader. */
  finish(info: ModelInfo, usage: Usage, note?: string): string {
    return this.#end(note, [
      `${formatSeconds(usage.time_to_first_token_s)} to first token`,
      ...(usage.decode_tokens_per_s > 0 ? [formatRate(usage.decode_tokens_per_s)] : []),
      `${formatWhole(usage.prompt_tokens)} prompt + ${formatWhole(usage.completion_tokens)} generated tokens`,
      formatAdapter(info),
    ]);
  }

  stopped(completionTokens: number | undefined): string {
    return this.#end(undefined, [
      completionTokens ? `Stopped after ${formatWhole(completionTokens)} tokens` : 'Stopped',
    ]);
  }

  fail(message: string, ...actions: readonly { readonly label: string; readonly run: () => void }[]): void {
    this.#renderNow();
    this.#answer.ariaBusy = 'false';
    const buttons = actions.map(({ label, run }) => button(label, run));
    const card = el('div', { class: 'error-card', role: 'alert' }, el('p', {}, message));
    if (buttons.length > 0) card.append(el('div', { class: 'button-row' }, ...buttons));
    this.#onRender(() => this.#foot.replaceChildren(card));
  }

  /** Adds buttons to the answer's foot, in place of those that were there. */
  setActions(...actions: readonly HTMLButtonElement[]): void {
    this.#onRender(() => this.#foot.querySelector('.turn-actions')?.replaceChildren(...actions));
  }

  remove(): void {
    clearTimeout(this.#timer);
    this.#user.remove();
    this.#answer.remove();
  }

  #end(note: string | undefined, facts: readonly string[]): string {
    this.#renderNow();
    this.#answer.ariaBusy = 'false';
    const stats = el('ul', { class: 'stats', 'aria-label': 'Measured' }, ...facts.map((fact) => el('li', {}, fact)));
    const actions = el('div', { class: 'turn-actions' });
    const notes = note ? [el('p', { class: 'turn-note' }, note)] : [];
    this.#onRender(() => this.#foot.replaceChildren(...notes, stats, actions));
    return this.#markdown.element.innerText;
  }

  #renderNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#onRender(() => this.#markdown.update(this.#text));
  }
}

function speaker(name: string): HTMLElement {
  return el('span', { class: 'visually-hidden' }, `${name}:`);
}
