import { byId } from './dom';

/** The message box: Enter sends, Shift+Enter makes a line, Esc stops. It grows with its text, up to the limit in the style sheet. */
export class Composer {
  readonly #box = byId('prompt', HTMLTextAreaElement);
  readonly #send = byId('send', HTMLButtonElement);
  readonly #stop = byId('stop', HTMLButtonElement);
  readonly #note = byId('composer-note', HTMLElement);
  #ready = false;
  #loading = false;
  /** Sent before the model was there: goes out as soon as it is. */
  #waits = false;
  #noted = '';

  constructor(onSend: (text: string) => void, onStop: () => void) {
    const form = byId('composer', HTMLFormElement);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#box.value.trim();
      if (text === '') return;
      if (!this.#ready) return this.#wait(this.#loading);
      this.#waits = false;
      this.#box.value = '';
      this.#resize();
      onSend(text);
    });
    this.#box.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#box.addEventListener('input', () => {
      this.#resize();
      // Who writes on is not done.
      this.#wait(false);
    });
    this.#stop.addEventListener('click', onStop);
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) onStop();
    });
  }

  focus(): void {
    this.#box.focus();
  }

  /** `loading`: there will be a model. */
  update(state: {
    readonly ready: boolean;
    readonly loading: boolean;
    readonly running: boolean;
    readonly note: string;
  }): void {
    this.#loading = state.loading && !state.ready;
    this.#ready = state.ready && !state.running;
    const stopHadFocus = document.activeElement === this.#stop;
    this.#send.hidden = state.running;
    this.#stop.hidden = !state.running;
    this.#send.disabled = !state.ready;
    this.#noted = state.note;
    if (stopHadFocus && !state.running) this.focus();
    if (this.#waits && this.#ready) this.#send.form?.requestSubmit();
    else this.#wait(this.#waits && this.#loading);
  }

  #wait(waits: boolean): void {
    this.#waits = waits;
    this.#note.textContent = waits ? 'Goes out as soon as the model is loaded.' : this.#noted;
  }

  #resize(): void {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }
}
