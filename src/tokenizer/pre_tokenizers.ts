import { UnsupportedModelError } from '../errors';

/**
 * How a byte-level BPE vocabulary cuts text into words before it merges: regular expressions known by name, each cutting further the
 * pieces that the ones before it left. The names are those that converters write into `tokenizer.ggml.pre`.
 */
export interface PreTokenizer {
  readonly patterns: readonly RegExp[];
  /** A word that is itself a token is that token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether the model expects BOS where the file does not say. */
  readonly addBos: boolean;
}

interface Recipe {
  readonly names: readonly string[];
  readonly patterns: readonly string[];
  readonly ignoreMerges?: boolean;
  readonly addBos?: boolean;
}

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
const CONTRACTION = String.raw`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`;
const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const PUNCTUATION = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const CJK = String.raw`[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+`;
// Letters that have case, without titlecase digraphs' relatives and modifiers, as DeepSeek's tokenizer lists them.
const CASED_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ' +
  'ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';

const caseSplitting = (contraction: string, digits: string): string =>
  [
    String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${contraction}`,
    String.raw`[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${contraction}`,
    digits,
    String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`,
    SPACES,
  ].join('|');

const LLAMA3 = [CONTRACTION, WORD, String.raw`\p{N}{1,3}`, PUNCTUATION, SPACES].join('|');

const RECIPES: readonly Recipe[] = [
  {
    names: ['default'],
    patterns: [String.raw`[\p{P}$+<=>^~|]+`, GPT2, String.raw`\p{N}+`, '[0-9][0-9][0-9]'],
  },
  {
    names: [
      'gpt-2',
      'phi-2',
      'jina-es',
      'jina-de',
      'jina-v1-en',
      'jina-v2-es',
      'jina-v2-de',
      'jina-v2-code',
      'roberta-bpe',
    ],
    patterns: [GPT2],
  },
  { names: ['mpt', 'olmo', 'jais', 'trillion', 'granite-docling', 'exaone4', 'gigachat', 'mellum'], patterns: [GPT2] },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'],
    patterns: [LLAMA3],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ['dbrx', 'smaug-bpe', 'chatglm-bpe', 'glm4'], patterns: [LLAMA3] },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'hunyuan'],
    patterns: [[CONTRACTION, WORD, String.raw`\p{N}`, PUNCTUATION, SPACES].join('|')],
  },
  {
    names: ['qwen35'],
    patterns: [
      [
        CONTRACTION,
        String.raw`[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+`,
        String.raw`\p{N}`,
        String.raw` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`,
        SPACES,
      ].join('|'),
    ],
  },
  { names: ['falcon'], patterns: [String.raw`[\p{P}$+<=>^~|${'`'}]+`, GPT2, '[0-9][0-9][0-9]'] },
  {
    names: ['starcoder', 'refact', 'command-r', 'smollm', 'codeshell', 'exaone', 'minerva-7b'],
    patterns: [String.raw`\p{N}`, GPT2],
  },
  {
    names: ['deepseek-llm'],
    patterns: [
      String.raw`[\r\n]`,
      String.raw`\s?[${CASED_LETTERS}]+`,
      String.raw`\s?[!-\/:-~！-／：-～‘-‟　-。]+`,
      String.raw`\s+$`,
      CJK,
      String.raw`\p{N}+`,
    ],
  },
  {
    names: ['deepseek-coder'],
    patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK, String.raw`\p{N}`],
  },
  {
    names: ['deepseek-v3'],
    patterns: [
      String.raw`\p{N}{1,3}`,
      String.raw`[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+`,
      [
        String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+`,
        String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`,
        String.raw` ?[\p{P}\p{S}]+[\r\n]*`,
        SPACES,
      ].join('|'),
    ],
  },
  {
    names: ['tekken'],
    patterns: [caseSplitting('', String.raw`\p{N}`)],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ['gpt-4o', 'llama4', 'kanana2'], patterns: [caseSplitting(`${CONTRACTION}?`, String.raw`\p{N}{1,3}`)] },
];

/** @throws UnsupportedModelError for a name that is not known: a guess would give wrong tokens in silence. */
export function preTokenizer(name: string): PreTokenizer {
  const recipe = RECIPES.find(({ names }) => names.includes(name));
  if (!recipe) {
    throw new UnsupportedModelError(`the pre-tokenizer "${name}" (tokenizer.ggml.pre) is not supported`, {
      details: { key: 'tokenizer.ggml.pre', value: name },
    });
  }
  return {
    patterns: recipe.patterns.map(compile),
    ignoreMerges: recipe.ignoreMerges ?? false,
    addBos: recipe.addBos ?? false,
  };
}

/** Cuts the text; what no expression matches becomes pieces of its own. */
export function splitWords(text: string, patterns: readonly RegExp[]): string[] {
  let pieces = [text];
  for (const pattern of patterns) pieces = pieces.flatMap((piece) => cut(piece, pattern));
  return pieces;
}

function cut(text: string, pattern: RegExp): string[] {
  const pieces: string[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (index > end) pieces.push(text.slice(end, index));
    if (match) pieces.push(match);
    end = index + match.length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}

/** JavaScript's \s knows U+FEFF and not U+0085; the property is the set that the vocabularies were trained with. */
function compile(pattern: string): RegExp {
  return new RegExp(
    pattern
      .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
      .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`),
    'gu',
  );
}
