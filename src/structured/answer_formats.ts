import type { TokenConstraint } from '../engine/constraint';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { Grammars } from './grammars';
import type { ResponseFormat } from './response_format';

/** The formats of one model's answers. Their code, and XGrammar's, is loaded with the first of them. */
export class AnswerFormats {
  #grammars: Promise<Grammars> | undefined;

  /** `vocabSize`: logits of the model. */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly vocabSize: number,
  ) {}

  /**
   * Constraints for `count` answers, whose owner disposes of them. Rejects with InvalidOptionError: the schema, expression or grammar is
   * wrong, not supported, or allows no answer.
   */
  async constraints(format: ResponseFormat, count: number): Promise<readonly TokenConstraint[]> {
    this.#grammars ??= this.#load();
    return await (await this.#grammars).constraints(format, count);
  }

  async #load(): Promise<Grammars> {
    try {
      const { Grammars } = await import('./grammars');
      return new Grammars(this.tokenizer, this.vocabSize);
    } catch (error) {
      // A chunk that was not found today may be there tomorrow.
      this.#grammars = undefined;
      throw error;
    }
  }
}
