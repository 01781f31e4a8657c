import { BpeModel } from '../bpe';
import { MergeList } from '../merge_list';
import { byteTokens, SPACE } from '../spaces';
import { UnigramModel } from '../unigram';
import { TokenType, type Vocabulary } from '../vocabulary';
import type { WordModel } from '../word_model';
import { WordPieceModel } from '../wordpiece';
import type { Decoder } from './decoders';
import { type Fields, isCount, mismatch } from './fields';
import { unsupported } from './steps';

/** More ids than any model has; a file that lists one beyond would cost memory for nothing. */
const LARGEST_ID = 2 ** 21;

type Split = (text: string, isFirst: boolean) => readonly string[];

/** The kind of model, which old files leave to its fields. */
export function modelType(model: Fields): string {
  const type = model.optionalText('type');
  if (type !== undefined) return type;
  if (model.has('merges')) return 'BPE';
  return Array.isArray(model.value('vocab')) ? 'Unigram' : 'WordPiece';
}

/** Ids by text, before added tokens. */
export function readVocab(model: Fields): ReadonlyMap<string, number> {
  const where = model.at('vocab');
  const entries: [string, unknown][] = Array.isArray(model.value('vocab'))
    ? model.list('vocab').map((piece, id) => [readPiece(piece, `${where}[${id}]`)[0], id])
    : model.child('vocab').entries();
  const ids = new Map<string, number>();
  for (const [text, id] of entries) ids.set(text, checkId(id, `${where}: token ${JSON.stringify(text.slice(0, 50))}`));
  return ids;
}

export function checkId(id: unknown, where: string): number {
  if (!isCount(id) || id > LARGEST_ID) throw mismatch(where, `an id below ${LARGEST_ID}`, id);
  return id;
}

export function readModel(model: Fields, vocabulary: Vocabulary, split: Split, decoder: Decoder): WordModel {
  const type = modelType(model);
  switch (type) {
    case 'BPE':
      return readBpe(model, vocabulary, split, decoder);
    case 'Unigram':
      return readUnigram(model, vocabulary, split, decoder);
    case 'WordPiece':
      return readWordPiece(model, vocabulary, split, decoder);
    default:
      throw unsupported(model.where, `the model "${type}"`);
  }
}

function readBpe(model: Fields, vocabulary: Vocabulary, split: Split, decoder: Decoder): WordModel {
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model.optionalText(key)) throw unsupported(model.at(key), JSON.stringify(model.text(key)));
  }
  const ignoresMerges = model.flag('ignore_merges', false);
  return new BpeModel({
    vocabulary,
    merges: readMerges(model, vocabulary),
    split,
    spell: (word) => word,
    isWhole: () => ignoresMerges,
    byteTokens: model.flag('byte_fallback', false) ? byteTokens(vocabulary.ids) : undefined,
    fusesUnknown: model.flag('fuse_unk', false),
    spacePrefix: decoder.stripsLeadingSpace,
    bytesOf: decoder.bytesOf,
  });
}

/** Merges as "left right" or as pairs; both sides and what they become must be tokens. */
function readMerges(model: Fields, { ids }: Vocabulary): MergeList {
  const list = model.list('merges');
  const merges = new MergeList(list.length);
  list.forEach((merge, rank) => {
    const [left, right] = pairOf(merge);
    if (!left || !right) throw mismatch(`${model.at('merges')}[${rank}]`, 'a pair of tokens', merge);
    if (!ids.has(left) || !ids.has(right) || !ids.has(left + right)) {
      throw mismatch(`${model.at('merges')}[${rank}]`, 'tokens of the vocabulary', merge);
    }
    merges.add(left, right, rank);
  });
  return merges;
}

function pairOf(merge: unknown): readonly [left?: string, right?: string] {
  if (typeof merge === 'string') {
    const space = merge.indexOf(' ');
    return space === merge.lastIndexOf(' ') ? [merge.slice(0, Math.max(space, 0)), merge.slice(space + 1)] : [];
  }
  if (!Array.isArray(merge) || merge.length !== 2) return [];
  const [left, right] = merge as unknown[];
  return typeof left === 'string' && typeof right === 'string' ? [left, right] : [];
}

function readUnigram(model: Fields, vocabulary: Vocabulary, split: Split, decoder: Decoder): WordModel {
  const where = model.at('vocab');
  const pieces = model.list('vocab').map((piece, id) => {
    const [text, score] = readPiece(piece, `${where}[${id}]`);
    return { text, id, score };
  });
  const unknown = model.count('unk_id');
  if (unknown >= pieces.length) throw mismatch(model.at('unk_id'), `an id of ${pieces.length} tokens`, unknown);
  return new UnigramModel({
    vocabulary,
    pieces: pieces.filter(({ text, id }) => text !== '' && id !== unknown && !isControl(vocabulary, id)),
    worstScore: pieces.reduce((worst, { score }) => Math.min(worst, score), Number.POSITIVE_INFINITY),
    unknown,
    split,
    byteTokens: model.flag('byte_fallback', false) ? byteTokens(vocabulary.ids) : undefined,
    spacePrefix: decoder.stripsLeadingSpace,
    bytesOf: decoder.bytesOf,
  });
}

/** Control tokens never come out of text that a user may have written. */
function isControl({ types }: Vocabulary, id: number): boolean {
  return types[id] === TokenType.control;
}

function readPiece(piece: unknown, where: string): [text: string, score: number] {
  const [text, score] = Array.isArray(piece) ? (piece as unknown[]) : [];
  if (typeof text !== 'string' || typeof score !== 'number' || !Number.isFinite(score)) {
    throw mismatch(where, 'a pair of text and score', piece);
  }
  return [text, score];
}

function readWordPiece(model: Fields, vocabulary: Vocabulary, split: Split, decoder: Decoder): WordModel {
  const prefix = model.optionalText('continuing_subword_prefix') ?? '##';
  const name = model.optionalText('unk_token') ?? '[UNK]';
  const unknown = vocabulary.ids.get(name);
  if (unknown === undefined) throw mismatch(model.at('unk_token'), 'a token of the vocabulary', name);
  const pieces = new Map<string, number>();
  for (const [text, id] of readVocab(model)) {
    if (isControl(vocabulary, id)) continue;
    if (prefix !== '' && text.startsWith(prefix) && text !== prefix) pieces.set(text.slice(prefix.length), id);
    else if (text !== '') pieces.set(SPACE + text, id);
  }
  return new WordPieceModel({
    vocabulary,
    pieces,
    unknown,
    split,
    longestWord: model.optionalCount('max_input_chars_per_word') ?? 100,
    bytesOf: decoder.bytesOf,
  });
}
