import { byId } from './dom';

/** The message box: Enter sends, Shift+Enter makes a line, Esc stops. It grows with its text, up to the limit in the style sheet. */
export class Composer {
  readonly #box = byId('prompt', HTMLTextAreaElement);
  readonly #send = byId('send', HTMLButtonElement);
  readonly #stop = byId('stop', HTMLButtonElement);
  readonly #note = byId('composer-note', HTMLElement);
  #ready = false;

  constructor(onSend: (text: string) => void, onStop: () => void) {
    const form = byId('composer', HTMLFormElement);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#box.value.trim();
      if (!this.#ready || text === '') return;
      this.#box.value = '';
      this.#resize();
      onSend(text);
    });
    this.#box.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#box.addEventListener('input', () => this.#resize());
    this.#stop.addEventListener('click', onStop);
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) onStop();
    });
  }

  focus(): void {
    this.#box.focus();
  }

  update(state: { readonly ready: boolean; readonly running: boolean; readonly note: string }): void {
    this.#ready = state.ready && !state.running;
    const stopHadFocus = document.activeElement === this.#stop;
    this.#send.hidden = state.running;
    this.#stop.hidden = !state.running;
    this.#send.disabled = !state.ready;
    this.#note.textContent = state.note;
    if (stopHadFocus && !state.running) this.focus();
  }

  #resize(): void {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }
}
