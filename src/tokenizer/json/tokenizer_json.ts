import { InvalidFileError } from '../../errors';
import type { TokenizerFiles } from '../../formats/tokenizer_files';
import type { Tokenizer } from '../contract';
import { checkTokens, endOfGeneration, TokenType, type Vocabulary } from '../vocabulary';
import { VocabularyTokenizer } from '../vocabulary_tokenizer';
import type { WordModel } from '../word_model';
import { type AddedToken, AddedTokens, readAddedTokens } from './added_tokens';
import { readGenerationEnds, readSpecialNames, type SpecialNames } from './configs';
import { readDecoder } from './decoders';
import { Fields, mismatch } from './fields';
import { checkId, modelType, readModel, readVocab } from './models';
import { readNormalizer } from './normalizers';
import { readPostProcessor } from './post_processors';
import { readPreTokenizer } from './pre_tokenizers';

/** Characters of a tokenizer.json; those of the largest vocabularies have some 40 million. */
const LONGEST_FILE = 128 * 1024 * 1024;

/**
 * The tokenizer of a Hugging Face repository: tokenizer.json with BPE, Unigram or WordPiece
 * (https://huggingface.co/docs/tokenizers). Added tokens, normalisation and decoding follow that library; control tokens become tokens
 * only on request, as with every `Tokenizer`.
 * @throws InvalidFileError that names the place, UnsupportedModelError for a component or a regular expression that is not known.
 */
export function createTokenizerFromJson(files: TokenizerFiles): Tokenizer {
  if (files.tokenizerJson.length > LONGEST_FILE) {
    throw new InvalidFileError(
      `tokenizer.json: ${files.tokenizerJson.length} characters are more than ${LONGEST_FILE}`,
    );
  }
  const file = Fields.parse(files.tokenizerJson, 'tokenizer.json');
  const model = file.child('model');
  const config =
    files.tokenizerConfig === undefined ? undefined : Fields.parse(files.tokenizerConfig, 'tokenizer_config.json');
  const added = readAddedTokens(file, config);
  const names = readSpecialNames(config);
  const ends = readGenerationEnds(files.generationConfig);
  const vocabulary = makeVocabulary(file, model, added, names, ends);

  const normalise = readNormalizer(file.optionalChild('normalizer'));
  const core = readModel(
    model,
    vocabulary,
    readPreTokenizer(file.optionalChild('pre_tokenizer')),
    readDecoder(file.optionalChild('decoder')),
  );
  const found = new AddedTokens(added.filter(({ normalized }) => !normalized));
  const late = new AddedTokens(
    added.filter(({ normalized }) => normalized),
    normalise,
  );
  return new VocabularyTokenizer(vocabulary, new NormalisedModel(core, normalise, late), found);
}

/** Normalises text, then finds the added tokens that are to be found only there. */
class NormalisedModel implements WordModel {
  readonly spacePrefix: boolean;
  readonly #core: WordModel;
  readonly #normalise: (text: string) => string;
  readonly #added: AddedTokens;

  constructor(core: WordModel, normalise: (text: string) => string, added: AddedTokens) {
    this.#core = core;
    this.#normalise = normalise;
    this.#added = added;
    this.spacePrefix = core.spacePrefix;
  }

  encode(text: string, isFirst: boolean, out: number[]): void {
    let atStart = isFirst;
    for (const fragment of this.#added.split(this.#normalise(text), false)) {
      if (typeof fragment === 'number') out.push(fragment);
      else this.#core.encode(fragment, atStart, out);
      atStart = false;
    }
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    return this.#core.bytesOf(id);
  }
}

function makeVocabulary(
  file: Fields,
  model: Fields,
  added: readonly AddedToken[],
  names: SpecialNames,
  ends: readonly number[],
): Vocabulary {
  const ids = new Map(readVocab(model));
  for (const { id, content } of added) ids.set(content, checkId(id, `${file.where}: added_tokens: ${content}`));
  if (ids.size === 0) throw mismatch(model.at('vocab'), 'tokens', 'none');
  const tokens: string[] = [];
  let count = 0;
  for (const id of ids.values()) count = Math.max(count, id + 1);
  for (let id = 0; id < count; id++) tokens.push('');
  for (const [text, id] of ids) {
    if (tokens[id] !== '') throw mismatch(model.at('vocab'), `one text for token ${id}`, [tokens[id], text]);
    tokens[id] = text;
  }
  checkTokens(tokens, model.at('vocab'));

  const types = new Uint8Array(count).fill(TokenType.normal);
  for (const { id, special } of added) types[id] = special ? TokenType.control : TokenType.userDefined;
  const idOf = (text: string | undefined) => (text === undefined ? undefined : ids.get(text));
  const unknown = unknownId(model, ids);
  if (unknown !== undefined) types[unknown] = TokenType.unknown;

  const around = readPostProcessor(file.optionalChild('post_processor'));
  for (const id of [...around.prefix, ...around.suffix, ...ends]) {
    if (id >= count) throw mismatch(file.where, `ids of ${count} tokens`, id);
  }
  const bos = idOf(names.bos) ?? around.prefix[0];
  const eos = idOf(names.eos) ?? ends[0];
  const prefix = around.prefix.length === 0 && names.addsBos && bos !== undefined ? [bos] : around.prefix;
  const { stopTokens, shown } = endOfGeneration(ids, types, { eos });
  return {
    tokens,
    types,
    ids,
    bos,
    eos,
    unknown,
    prefix,
    suffix: around.suffix,
    stopTokens: new Set([...stopTokens, ...ends]),
    shown,
  };
}

function unknownId(model: Fields, ids: ReadonlyMap<string, number>): number | undefined {
  if (modelType(model) === 'Unigram') return model.optionalCount('unk_id');
  const name = model.optionalText('unk_token');
  if (name === undefined) return undefined;
  const id = ids.get(name);
  if (id === undefined) throw mismatch(model.at('unk_token'), 'a token of the vocabulary', name);
  return id;
}
