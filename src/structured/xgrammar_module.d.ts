/** XGrammar's WebAssembly module (vite.xgrammar.ts), as far as it is used here. Objects live in its memory until `delete`. */
declare module 'virtual:xgrammar' {
  interface Owned {
    delete(): void;
  }

  export interface IntVector extends Owned {
    size(): number;
  }

  export interface Grammar extends Owned {
    ToString(): string;
  }

  export type CompiledGrammar = Owned;

  export interface GrammarCompiler extends Owned {
    CompileGrammar(grammar: Grammar): CompiledGrammar;
  }

  export interface GrammarMatcher extends Owned {
    AcceptToken(token: number, verbose: boolean): boolean;
    AcceptString(text: string, verbose: boolean): boolean;
    GetNextTokenBitmask(vocabSize: number): IntVector;
    IsTerminated(): boolean;
    FindJumpForwardString(): string;
    Rollback(tokens: number): void;
  }

  export interface Instance {
    readonly HEAPU8: Uint8Array;
    vecStringFromJSArray(strings: readonly string[]): Owned;
    vecIntFromJSArray(numbers: readonly number[]): IntVector;
    /** A view of the vector's memory, until the next call. */
    vecIntToView(vector: IntVector): Int32Array;
    readonly Grammar: {
      FromEBNF(ebnf: string, rootRule: string): Grammar;
      FromJSONSchema(
        schema: string,
        anyWhitespace: boolean,
        indent: number | undefined,
        separators: { readonly first: string; readonly second: string },
        strict: boolean,
        maxWhitespace: number | undefined,
        print: boolean,
      ): Grammar;
      FromStructuralTag(tag: string): Grammar;
    };
    readonly TokenizerInfo: new (
      vocabulary: Owned,
      kind: 'BYTE_LEVEL',
      vocabSize: number,
      stopTokens: IntVector,
      addsSpace: boolean,
    ) => Owned;
    readonly GrammarCompiler: new (tokenizer: Owned, threads: number, cache: boolean) => GrammarCompiler;
    readonly GrammarMatcher: new (
      grammar: CompiledGrammar,
      stopTokens: undefined,
      endsWithoutStopToken: boolean,
      maxRollback: number,
    ) => GrammarMatcher;
  }

  /** A fresh instance. What goes wrong in it aborts it: the call throws, and the reason goes to `printErr`. */
  export default function createInstance(options: {
    readonly print: (line: string) => void;
    readonly printErr: (line: string) => void;
  }): Promise<Instance>;
}
