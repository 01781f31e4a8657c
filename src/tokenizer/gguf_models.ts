import {
  type GgufMetadata,
  getStringArray,
  optionalBool,
  optionalNumberArray,
  optionalString,
} from '../formats/gguf/gguf';
import { bertWords } from './bert_words';
import type { BpeOptions } from './bpe';
import { BYTE_TO_CHARACTER, fromByteLevel, toByteLevel } from './byte_level';
import { CharsMap } from './charsmap';
import { MergeList } from './merge_list';
import { preTokenizer, splitWords } from './pre_tokenizers';
import { sentencePieceText } from './sentence_piece_text';
import { byteTokens, byteTokenText, fromSentencePiece, SPACE } from './spaces';
import type { SpmOptions } from './spm';
import type { UnigramOptions } from './unigram';
import { checkLength, invalid, TokenType, type Vocabulary } from './vocabulary';
import type { WordPieceOptions } from './wordpiece';

const MERGES = 'tokenizer.ggml.merges';
const SCORES = 'tokenizer.ggml.scores';
const CHARSMAP = 'tokenizer.ggml.precompiled_charsmap';
const TOKENS = 'tokenizer.ggml.tokens';

/** Two of the longest tokens and a space. */
const LONGEST_MERGE = 8193;

/** Byte-level BPE, or (`raw`, Gemma 4) BPE over characters with tokens of single bytes, as SentencePiece's vocabularies have them. */
export function readBpe(gguf: GgufMetadata, vocabulary: Vocabulary, pre: string): BpeOptions {
  const { patterns, ignoreMerges, raw } = preTokenizer(pre);
  const merges = readMerges(gguf);
  if (raw) {
    return {
      vocabulary,
      merges,
      split: (text) => splitWords(text.replaceAll(' ', SPACE), patterns),
      spell: (word) => word,
      isWhole: (word) => /^\n+$/.test(word),
      byteTokens: byteTokens(vocabulary.ids),
      spacePrefix: false,
      bytesOf: fromSentencePiece,
    };
  }
  const missing = BYTE_TO_CHARACTER.findIndex((text, byte) => isPrintableAscii(byte) && !vocabulary.ids.has(text));
  if (missing >= 0 && vocabulary.unknown === undefined) {
    throw invalid(TOKENS, `no token for byte ${missing}, and no tokenizer.ggml.unknown_token_id in its place`);
  }
  return {
    vocabulary,
    merges,
    split: (text) => splitWords(text, patterns),
    spell: toByteLevel,
    isWhole: () => ignoreMerges,
    spacePrefix: false,
    bytesOf: fromByteLevel,
  };
}

function readMerges(gguf: GgufMetadata): MergeList {
  const list = getStringArray(gguf, MERGES);
  const merges = new MergeList(list.length);
  list.forEach((merge, rank) => {
    const space = merge.indexOf(' ', 1);
    if (space < 0 || space === merge.length - 1) {
      throw invalid(MERGES, `item ${rank}, ${JSON.stringify(merge.slice(0, 100))}, is no pair with a space between`);
    }
    if (merge.length > LONGEST_MERGE) throw invalid(MERGES, `item ${rank} has ${merge.length} characters`);
    merges.add(merge.slice(0, space), merge.slice(space + 1), rank);
  });
  return merges;
}

export function readSpm(gguf: GgufMetadata, vocabulary: Vocabulary): SpmOptions {
  const missing = byteTokens(vocabulary.ids).indexOf(undefined);
  if (missing >= 0 && vocabulary.unknown === undefined) {
    throw invalid(TOKENS, `no token ${byteTokenText(missing)}, and no tokenizer.ggml.unknown_token_id in its place`);
  }
  return {
    scores: readScores(gguf, vocabulary),
    spacePrefix: optionalBool(gguf, 'tokenizer.ggml.add_space_prefix') ?? true,
  };
}

/** SentencePiece's unigram model, as T5 has it. */
export function readUnigram(gguf: GgufMetadata, vocabulary: Vocabulary): UnigramOptions {
  const { tokens, types } = vocabulary;
  const scores = readScores(gguf, vocabulary);
  const isType = (id: number, ...among: readonly number[]) => among.includes(types[id]);
  const trained = tokens.map((_, id) => id).filter((id) => isType(id, TokenType.normal));
  const pieces = tokens
    .map((text, id) => ({ text, id, score: isType(id, TokenType.userDefined) ? 0 : scores[id] }))
    .filter(({ text, id }) => text && isType(id, TokenType.normal, TokenType.userDefined, TokenType.unused));
  const charsMap = optionalNumberArray(gguf, CHARSMAP);
  if (charsMap && !(charsMap instanceof Uint8Array) && !(charsMap instanceof Int8Array) && charsMap.length > 0) {
    throw invalid(CHARSMAP, 'is no array of bytes');
  }
  const bytes = charsMap && new Uint8Array(charsMap.buffer, charsMap.byteOffset, charsMap.byteLength);
  const spacePrefix = optionalBool(gguf, 'tokenizer.ggml.add_space_prefix') ?? true;
  const normalise = sentencePieceText({
    charsMap: bytes?.length ? new CharsMap(bytes, `metadata key "${CHARSMAP}"`) : undefined,
    spacePrefix,
    mergesSpaces: optionalBool(gguf, 'tokenizer.ggml.remove_extra_whitespaces') ?? false,
  });
  return {
    vocabulary,
    pieces,
    worstScore: trained.reduce((worst, id) => Math.min(worst, scores[id]), Number.POSITIVE_INFINITY),
    unknown: required(vocabulary),
    split: (text) => [normalise(text)],
    spacePrefix,
    bytesOf: fromSentencePiece,
  };
}

export function readWordPiece(gguf: GgufMetadata, vocabulary: Vocabulary): WordPieceOptions {
  const lowercase = optionalBool(gguf, 'tokenizer.ggml.normalizer.lowercase') ?? true;
  const stripAccents = optionalBool(gguf, 'tokenizer.ggml.normalizer.strip_accents') ?? lowercase;
  return {
    vocabulary,
    pieces: vocabulary.ids,
    unknown: required(vocabulary),
    split: (text) => bertWords(text, { lowercase, stripAccents }),
    longestWord: Number.POSITIVE_INFINITY,
    bytesOf: (text) => new TextEncoder().encode(text.replaceAll(SPACE, ' ')),
  };
}

function required({ unknown }: Vocabulary): number {
  if (unknown === undefined) throw invalid('tokenizer.ggml.unknown_token_id', 'missing, and no token in its place');
  return unknown;
}

function readScores(gguf: GgufMetadata, { tokens }: Vocabulary): ArrayLike<number> {
  const scores = optionalNumberArray(gguf, SCORES);
  if (!scores) throw invalid(SCORES, 'missing, and this kind of tokenizer goes by scores');
  checkLength(SCORES, scores.length, tokens.length);
  const broken = scores.findIndex((score) => !Number.isFinite(score));
  if (broken >= 0) throw invalid(SCORES, `the score of token ${broken} is ${scores[broken]}`);
  return scores;
}

/** The name of the pre-tokenizer that the file gives, or that its kind implies. */
export function preTokenizerName(gguf: GgufMetadata, kind: string): string {
  if (kind === 'gemma4') return kind;
  return optionalString(gguf, 'tokenizer.ggml.pre') ?? 'default';
}

function isPrintableAscii(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}
