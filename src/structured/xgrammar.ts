import type { Instance } from 'virtual:xgrammar';
import { InvalidOptionError } from '../errors';
import { messageOf } from '../errors/message_of';

/** XGrammar refused what it was given; the message says why. */
export class GrammarRefused extends Error {}

/** Where in its sources a check failed, and which: nobody's business. */
const SOURCE = /^\[FATAL\] \S+:\d+: (?:Check failed: \(.*?\) is false: )?/;

/**
 * One instance of XGrammar (Dong et al. 2024). Whatever it refuses aborts the instance, and an aborted one is not to be trusted with anything
 * new: its stack is never unwound. What was made in it before goes on.
 */
export class XGrammar {
  #aborted = false;
  readonly #lines: string[];

  private constructor(
    private readonly instance: Instance,
    lines: string[],
  ) {
    this.#lines = lines;
  }

  /** Loads the module, the first time that it is asked for, and makes an instance. Rejects with InvalidOptionError where none may run. */
  static async create(): Promise<XGrammar> {
    const { default: createInstance } = await import('virtual:xgrammar');
    const lines: string[] = [];
    const note = (line: string): void => {
      lines.push(line);
    };
    try {
      return new XGrammar(await createInstance({ print: note, printErr: note }), lines);
    } catch (cause) {
      const reason = messageOf(cause);
      throw new InvalidOptionError('response_format', `needs WebAssembly, which does not start here: ${reason}`, {
        cause,
      });
    }
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  /** Throws GrammarRefused with the reason when `work` fails in the instance. */
  attempt<T>(work: (instance: Instance) => T): T {
    this.#lines.length = 0;
    try {
      return work(this.instance);
    } catch (cause) {
      if (cause instanceof GrammarRefused) throw cause;
      this.#aborted = true;
      const reason = this.#lines.find((line) => SOURCE.test(line))?.replace(SOURCE, '');
      throw new GrammarRefused(reason ?? messageOf(cause), { cause });
    }
  }
}
