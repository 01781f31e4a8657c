import type { CompiledGrammar, GrammarCompiler, Instance } from 'virtual:xgrammar';
import type { TokenConstraint } from '../engine/constraint';
import { InvalidOptionError } from '../errors';
import { BYTE_TO_CHARACTER } from '../tokenizer/byte_level';
import type { Tokenizer } from '../tokenizer/tokenizer';
import { characterSet } from './character_set';
import { spellClasses } from './ebnf_classes';
import { ForcedTokens } from './forced_tokens';
import { GrammarConstraint } from './grammar_constraint';
import { schemaToEbnf } from './json_schema';
import { expressionToEbnf } from './regular_expression';
import type { ResponseFormat } from './response_format';
import { RuleSet } from './rule_set';
import { TokenMasks } from './token_masks';
import { GrammarRefused, XGrammar } from './xgrammar';

/** Compiled grammars that are kept for the next request. */
const KEPT = 8;

/** The rule of answers whose leading space decoding takes away. */
const BEHIND_SPACE = 'answer_behind_space';

/** XGrammar with the vocabulary of one model in it, and what was compiled there: by what was asked for, the latest last. */
interface Workshop {
  readonly module: XGrammar;
  readonly compiler: GrammarCompiler;
  readonly compiled: Map<string, CompiledGrammar>;
}

/** A format as a grammar, and the option that it comes from. */
interface Written {
  readonly field: string;
  /** EBNF, beginning with the rule `root`. */
  readonly ebnf: string;
  /** Somebody else wrote it, so it may be wrong. */
  readonly foreign: boolean;
}

/** The formats of one model's answers. XGrammar is loaded with the first of them. */
export class Grammars {
  readonly #masks: TokenMasks;
  readonly #forcedTokens: ForcedTokens;
  readonly #isText: (token: number) => boolean;
  #workshop: Promise<Workshop> | undefined;

  /** `vocabSize`: logits of the model; its tokenizer may know fewer tokens, or more. */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly vocabSize: number,
  ) {
    this.#isText = textTokens(tokenizer);
    this.#masks = new TokenMasks(vocabSize, this.#isText, tokenizer.stopTokens);
    this.#forcedTokens = new ForcedTokens(tokenizer);
  }

  /**
   * Constraints for `count` answers, whose owner disposes of them. Rejects with InvalidOptionError: the schema, expression or grammar is
   * wrong, not supported, or allows no answer.
   */
  async constraints(format: ResponseFormat, count: number): Promise<readonly TokenConstraint[]> {
    // Before anything is loaded: what is wrong with a schema shows here.
    const written = writeFormat(format);
    this.#workshop ??= this.#open().catch((error: unknown) => {
      this.#workshop = undefined;
      throw error;
    });
    const workshop = await this.#workshop;
    const { module, compiled } = workshop;
    try {
      return module.attempt((instance) => {
        const key = written.ebnf;
        const grammar = compiled.get(key) ?? this.#compile(instance, workshop, written);
        compiled.delete(key);
        compiled.set(key, grammar);
        for (const [oldest, dropped] of compiled) {
          if (compiled.size <= KEPT) break;
          compiled.delete(oldest);
          dropped.delete();
        }
        return Array.from({ length: count }, () => this.#start(instance, grammar));
      });
    } catch (error) {
      if (module.aborted) this.#workshop = undefined;
      if (error instanceof GrammarRefused) throw new InvalidOptionError(written.field, error.message, { cause: error });
      throw error;
    }
  }

  #start(instance: Instance, grammar: CompiledGrammar): GrammarConstraint {
    const endsBySilence = this.tokenizer.stopTokens.size === 0;
    const matcher = new instance.GrammarMatcher(grammar, undefined, endsBySilence, -1);
    return new GrammarConstraint(instance, matcher, this.#masks, this.#forcedTokens);
  }

  #compile(instance: Instance, { compiler }: Workshop, { ebnf, foreign }: Written): CompiledGrammar {
    // Before it is rewritten: complaints name lines and columns.
    if (foreign) instance.Grammar.FromEBNF(ebnf, 'root').delete();
    const text = foreign ? spellClasses(ebnf) : ebnf;
    const compile = (rules: string, root: string): CompiledGrammar => {
      const grammar = instance.Grammar.FromEBNF(rules, root);
      const compiled = compiler.CompileGrammar(grammar);
      grammar.delete();
      return compiled;
    };
    const plain = compile(text, 'root');
    this.#check(instance, plain);
    if (!this.tokenizer.stripsLeadingSpace) return plain;
    // Decoding takes a space away where text begins. Where the answer may begin with one of its own, both are wanted.
    const space = this.#accepts(instance, plain, ' ') ? '" "' : '" "?';
    plain.delete();
    return compile(`${text}\n${BEHIND_SPACE} ::= ${space} root`, BEHIND_SPACE);
  }

  #accepts(instance: Instance, grammar: CompiledGrammar, text: string): boolean {
    const matcher = new instance.GrammarMatcher(grammar, undefined, false, -1);
    const accepted = matcher.AcceptString(text, false);
    matcher.delete();
    return accepted;
  }

  /** Throws InvalidOptionError's reason when there is nothing to write. */
  #check(instance: Instance, grammar: CompiledGrammar): void {
    const first = this.#start(instance, grammar);
    const { kind } = first.next();
    first.dispose();
    if (kind === 'end') throw new GrammarRefused('allows nothing but an empty answer');
    if (kind === 'dead end') throw new GrammarRefused('allows no answer that this model could write');
  }

  async #open(): Promise<Workshop> {
    const module = await XGrammar.create();
    const { tokenizer, vocabSize } = this;
    const spelled = Array.from({ length: vocabSize }, (_, token) =>
      this.#isText(token) ? Array.from(tokenizer.tokenBytes(token), (byte) => BYTE_TO_CHARACTER[byte]).join('') : '',
    );
    const compiler = module.attempt((instance) => {
      const vocabulary = instance.vecStringFromJSArray(spelled);
      const stops = instance.vecIntFromJSArray([...tokenizer.stopTokens].filter((token) => token < vocabSize));
      const info = new instance.TokenizerInfo(vocabulary, 'BYTE_LEVEL', vocabSize, stops, false);
      const made = new instance.GrammarCompiler(info, 1, false);
      for (const part of [vocabulary, stops, info]) part.delete();
      return made;
    });
    return { module, compiler, compiled: new Map() };
  }
}

function writeFormat(format: ResponseFormat): Written {
  const field = 'response_format';
  switch (format.type) {
    case 'json_object':
      return { field, ebnf: schemaToEbnf({ type: 'object' }, true, field), foreign: false };
    case 'json_schema': {
      const { schema, strict = true } = format.json_schema;
      const at = `${field}.json_schema.schema`;
      return { field: at, ebnf: schemaToEbnf(schema, strict, at), foreign: false };
    }
    case 'regex':
      return { field: `${field}.regex`, ebnf: readExpression(format.regex, `${field}.regex`), foreign: false };
    case 'grammar':
      return { field: `${field}.grammar`, ebnf: format.grammar, foreign: true };
  }
}

function readExpression(expression: string, field: string): string {
  try {
    const rules = new RuleSet(() => {
      throw new SyntaxError('it is too large');
    });
    return rules.write(expressionToEbnf(expression, characterSet, rules));
  } catch (error) {
    if (error instanceof SyntaxError) throw new InvalidOptionError(field, error.message, { cause: error });
    throw error;
  }
}

/** Which tokens text is made of: not control tokens, and none behind which decoding would take a space away. */
function textTokens(tokenizer: Tokenizer): (token: number) => boolean {
  const control = new Set(tokenizer.controlTexts.map((text) => tokenizer.tokenId(text)));
  return (token) =>
    token < tokenizer.vocabSize &&
    !control.has(token) &&
    !(tokenizer.stripsLeadingSpace && tokenizer.isSpelledOut(token)) &&
    !tokenizer.stopTokens.has(token) &&
    tokenizer.tokenBytes(token).length > 0;
}
