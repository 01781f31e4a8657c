import { UnsupportedModelError } from '../errors';
import { type GgufMetadata, getString } from '../formats/gguf/gguf';
import { BpeModel } from './bpe';
import type { Tokenizer } from './contract';
import { preTokenizerName, readBpe, readSpm, readUnigram, readWordPiece } from './gguf_models';
import { readVocabulary, strippingTokens, type VocabularyDefaults } from './gguf_vocabulary';
import { preTokenizer } from './pre_tokenizers';
import { SpecialTokens } from './special_tokens';
import { SpmModel } from './spm';
import { UnigramModel } from './unigram';
import type { Vocabulary } from './vocabulary';
import { VocabularyTokenizer } from './vocabulary_tokenizer';
import type { WordModel } from './word_model';
import { WordPieceModel } from './wordpiece';

export type { Tokenizer } from './contract';

interface Kind {
  readonly defaults: (pre: string) => VocabularyDefaults;
  readonly model: (gguf: GgufMetadata, vocabulary: Vocabulary, pre: string) => WordModel;
}

const BYTE_PAIRS: Kind = {
  defaults: (pre) => {
    const { addBos, raw } = preTokenizer(pre);
    return { addsBos: addBos, insistsOnBos: raw, addsEos: false, wrapsInSeparator: false };
  },
  model: (gguf, vocabulary, pre) => new BpeModel(readBpe(gguf, vocabulary, pre)),
};

/** Values of `tokenizer.ggml.model`, with the ids that llama.cpp takes for granted. */
const KINDS: Readonly<Record<string, Kind>> = {
  gpt2: BYTE_PAIRS,
  gemma4: BYTE_PAIRS,
  llama: {
    defaults: () => ({ bos: 1, eos: 2, unknown: 0, addsBos: true, addsEos: false, wrapsInSeparator: false }),
    model: (gguf, vocabulary) => new SpmModel(vocabulary, readSpm(gguf, vocabulary)),
  },
  bert: {
    defaults: () => ({ bos: 101, unknown: 100, separator: 102, addsBos: true, addsEos: false, wrapsInSeparator: true }),
    model: (gguf, vocabulary) => new WordPieceModel(readWordPiece(gguf, vocabulary)),
  },
  t5: {
    defaults: () => ({ eos: 1, unknown: 2, addsBos: false, addsEos: true, wrapsInSeparator: false }),
    model: (gguf, vocabulary) => new UnigramModel(readUnigram(gguf, vocabulary)),
  },
};

/**
 * The tokenizer that a GGUF file describes: `tokenizer.ggml.model` "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), "gemma4" (BPE over
 * characters), "bert" (WordPiece) or "t5" (unigram). Results equal llama.cpp's.
 * @throws InvalidFileError when the lists do not fit together, UnsupportedModelError for other kinds and unknown pre-tokenizers.
 */
export function createTokenizer(gguf: GgufMetadata): Tokenizer {
  const key = 'tokenizer.ggml.model';
  const name = getString(gguf, key);
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (!kind) {
    throw new UnsupportedModelError(`the tokenizer "${name.slice(0, 100)}" (${key}) is not supported`, {
      details: { key, value: name.slice(0, 100) },
    });
  }
  const pre = preTokenizerName(gguf, name);
  const vocabulary = readVocabulary(gguf, kind.defaults(pre));
  const splitter = new SpecialTokens(vocabulary, strippingTokens(gguf, vocabulary));
  return new VocabularyTokenizer(vocabulary, kind.model(gguf, vocabulary, pre), splitter);
}
