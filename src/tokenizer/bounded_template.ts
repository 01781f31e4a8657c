import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { TemplateError } from '../errors';
import { messageOf } from '../errors/message_of';
import { strftime } from './strftime';

type Program = ReturnType<typeof parse>;
type Value = ReturnType<Interpreter['evaluate']>;
type Statement = Parameters<Interpreter['evaluate']>[0];

const LIMITS = {
  /** Characters of the template. */
  length: 256 * 1024,
  /** Characters of any text that the template makes, beside four times its input. */
  text: 1024 * 1024,
  /** Items of any list or mapping, those inside of it included. */
  items: 100_000,
  /** Expressions evaluated, where handling a large value counts as several. */
  steps: 4_000_000,
  milliseconds: 1_000,
  /** Expressions, loops and macro calls inside each other. */
  depth: 400,
} as const;

/**
 * A Jinja template as chat models ship it (https://huggingface.co/docs/transformers/chat_templating), from a file that nobody vouches
 * for: its length, its steps, its time, its depth and what it makes are bounded. Whatever goes wrong is a TemplateError.
 */
export class BoundedTemplate {
  readonly #program: Program;

  constructor(text: string) {
    if (text.length > LIMITS.length) {
      throw new TemplateError(`the chat template has ${text.length} characters, more than ${LIMITS.length}`);
    }
    this.#program = guarded('cannot be parsed', () =>
      parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true })),
    );
  }

  /** `inputSize`: characters of text among the variables. */
  render(variables: Readonly<Record<string, unknown>>, inputSize: number): string {
    return guarded('failed', () => {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
      const interpreter = new BoundedInterpreter(environment, LIMITS.text + 4 * inputSize);
      return interpreter.run(this.#program).toString();
    });
  }
}

/** Every node of a template passes through `evaluate`: the one place where its work can be counted. */
class BoundedInterpreter extends Interpreter {
  readonly #textLimit: number;
  readonly #deadline = performance.now() + LIMITS.milliseconds;
  readonly #sizes = new WeakMap<object, number>();
  #steps = 0;
  #nextLook = 0;
  #depth = 0;

  constructor(environment: Environment, textLimit: number) {
    super(environment);
    this.#textLimit = textLimit;
  }

  override evaluate(statement: Statement, environment: Environment): Value {
    if (++this.#depth > LIMITS.depth) throw exceeded(`nests deeper than ${LIMITS.depth} levels`);
    this.#spend(1);
    const value = super.evaluate(statement, environment);
    this.#depth--;
    // An empty list's "first" is nothing at all.
    if (value !== undefined) this.#weigh(value);
    return value;
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > LIMITS.steps) throw exceeded(`takes more than ${LIMITS.steps} steps`);
    if (this.#steps < this.#nextLook) return;
    this.#nextLook = this.#steps + 256;
    if (performance.now() > this.#deadline) throw exceeded(`runs for longer than ${LIMITS.milliseconds} ms`);
  }

  #weigh({ value }: Value): void {
    if (typeof value === 'string') {
      if (value.length > this.#textLimit) throw exceeded(`makes a text of more than ${this.#textLimit} characters`);
      this.#spend(value.length >> 10);
    } else if (typeof value === 'object' && value !== null) {
      this.#spend(this.#sizeOf(value, LIMITS.depth, LIMITS.items) >> 4);
    }
  }

  /**
   * Items of a container, counted as often as writing it out would meet them: ten lists of the list before are a thousand million items
   * after nine steps. Lists and mappings never change, so that their sizes are kept; a namespace may, and is walked each time.
   */
  #sizeOf(container: object, depth: number, limit: number): number {
    const known = this.#sizes.get(container);
    if (known !== undefined) return known;
    if (depth === 0) throw exceeded(`makes a list nested deeper than ${LIMITS.depth} levels`);
    let size = 0;
    let isFixed = true;
    const children =
      container instanceof Map || Array.isArray(container) ? (container.values() as Iterable<Value>) : [];
    for (const child of children) {
      size++;
      if (typeof child.value === 'object' && child.value !== null) {
        size += this.#sizeOf(child.value, depth - 1, limit - size);
        if (child.type === 'NamespaceValue' || !this.#sizes.has(child.value)) isFixed = false;
      }
      if (size > limit) throw exceeded(`makes a list of more than ${LIMITS.items} items`);
    }
    if (isFixed && Array.isArray(container)) this.#sizes.set(container, size);
    return size;
  }
}

const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown): never => {
    throw new TemplateError(`the chat template refuses: ${String(message)}`);
  },
  range: boundedRange,
  strftime_now: (format: unknown): string => strftime(new Date(), String(format)),
};

function boundedRange(first: number, second?: number | object, third?: number): number[] {
  const [start, stop] = typeof second === 'number' ? [first, second] : [0, first];
  const step = third ?? 1;
  if (![start, stop, step].every(Number.isInteger) || step === 0) {
    throw new TemplateError('the chat template calls range() with something else than whole numbers');
  }
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > LIMITS.items) throw exceeded(`makes a list of more than ${LIMITS.items} items`);
  return Array.from({ length }, (_, i) => start + i * step);
}

function exceeded(what: string): TemplateError {
  return new TemplateError(`the chat template ${what}`);
}

function guarded<T>(verb: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof TemplateError) throw cause;
    const message = messageOf(cause);
    throw new TemplateError(`the chat template ${verb}: ${message.slice(0, 500)}`, { cause });
  }
}
