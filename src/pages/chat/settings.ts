import { el } from './dom';

/** What the page sends with each question; names and ranges are the SDK's. */
export interface ChatSettings {
  readonly systemPrompt: string;
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  /** Undefined: another draw each time. */
  readonly seed: number | undefined;
  /** Undefined: as many tokens as the context holds. */
  readonly max_tokens: number | undefined;
}

const DEFAULTS: ChatSettings = {
  systemPrompt: '',
  temperature: 0.4,
  top_k: 40,
  top_p: 0.95,
  min_p: 0.05,
  seed: undefined,
  max_tokens: undefined,
};

interface NumberField {
  readonly name: Exclude<keyof ChatSettings, 'systemPrompt'>;
  readonly label: string;
  readonly hint: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

const FIELDS: readonly NumberField[] = [
  { name: 'temperature', label: 'Temperature', hint: '0 always takes the likeliest token', min: 0, max: 5, step: 0.05 },
  { name: 'top_k', label: 'Top-k', hint: 'Keep the k likeliest tokens; 0 keeps all', min: 0, max: 100_000, step: 1 },
  {
    name: 'top_p',
    label: 'Top-p',
    hint: 'Keep the likeliest tokens up to this probability',
    min: 0.01,
    max: 1,
    step: 0.01,
  },
  {
    name: 'min_p',
    label: 'Min-p',
    hint: 'Keep tokens this likely relative to the best',
    min: 0,
    max: 0.99,
    step: 0.01,
  },
  {
    name: 'seed',
    label: 'Seed',
    hint: 'Empty: another answer each time',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
  },
  {
    name: 'max_tokens',
    label: 'Longest answer',
    hint: 'In tokens; empty: as many as the context holds',
    min: 1,
    max: 1_000_000,
    step: 1,
  },
];

const KEY = 'tessera.settings';

/** The settings form: keeps what was entered in this browser, and never hands out a value outside its range. */
export class SettingsForm {
  readonly #form: HTMLFormElement;
  readonly #inputs = new Map<NumberField['name'], HTMLInputElement>();
  readonly #systemPrompt = el('textarea', { id: 'setting-system', rows: 3, placeholder: 'None' });

  constructor(form: HTMLFormElement) {
    this.#form = form;
    form.append(row('setting-system', 'System prompt', 'Says how the model should answer', this.#systemPrompt));
    for (const field of FIELDS) form.append(this.#numberRow(field));
    const reset = el('button', { type: 'reset', class: 'button' }, 'Back to defaults');
    form.append(el('div', { class: 'button-row' }, reset));
    this.#show(restore());
    form.addEventListener('input', () => this.#save());
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('reset', (event) => {
      event.preventDefault();
      this.#show(DEFAULTS);
      this.#save();
    });
  }

  get values(): ChatSettings {
    const numbers = FIELDS.map(({ name }) => [name, this.#number(name)] as const);
    return { ...DEFAULTS, ...Object.fromEntries(numbers), systemPrompt: this.#systemPrompt.value.trim() };
  }

  /** What is in the field, or the default where that is not a number in range. */
  #number(name: NumberField['name']): number | undefined {
    const input = this.#inputs.get(name);
    return !input || input.value === '' || !input.validity.valid ? DEFAULTS[name] : input.valueAsNumber;
  }

  #numberRow({ name, label, hint, min, max, step }: NumberField): HTMLElement {
    const id = `setting-${name}`;
    const inputmode = step < 1 ? 'decimal' : 'numeric';
    const placeholder = DEFAULTS[name] === undefined ? 'Auto' : String(DEFAULTS[name]);
    const input = el('input', { id, type: 'number', min, max, step, inputmode, placeholder });
    this.#inputs.set(name, input);
    return row(id, label, hint, input);
  }

  #show(settings: ChatSettings): void {
    this.#systemPrompt.value = settings.systemPrompt;
    for (const [name, input] of this.#inputs) input.value = settings[name] === undefined ? '' : String(settings[name]);
    this.#markInvalid();
  }

  #save(): void {
    this.#markInvalid();
    localStorage.setItem(KEY, JSON.stringify(this.values));
  }

  #markInvalid(): void {
    for (const input of this.#form.querySelectorAll('input')) {
      const message = input.validity.valid ? '' : `${input.validationMessage} The default is used.`;
      input.ariaInvalid = message ? 'true' : null;
      const error = input.closest('.setting')?.querySelector('.error-text');
      if (error) error.textContent = message;
    }
  }
}

function row(id: string, label: string, hint: string, input: HTMLElement): HTMLElement {
  input.setAttribute('aria-describedby', `${id}-hint ${id}-error`);
  return el(
    'div',
    { class: 'setting' },
    el('label', { for: id }, label),
    input,
    el('p', { id: `${id}-hint`, class: 'hint' }, hint),
    el('p', { id: `${id}-error`, class: 'error-text', role: 'status' }),
  );
}

function restore(): ChatSettings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return { ...DEFAULTS, ...(typeof stored === 'object' ? stored : {}) };
  } catch {
    return DEFAULTS;
  }
}
