import { UnsupportedModelError } from '../errors';
import { CJK, CONTRACTION, compile, GPT2, PUNCTUATION, SPACES, WORD } from './patterns';

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
  /** Words merge as they are written, with `SPACE` for spaces, and not in GPT-2's alphabet for bytes. */
  readonly raw: boolean;
}

interface Recipe {
  readonly names: readonly string[];
  readonly patterns: readonly string[];
  readonly ignoreMerges?: boolean;
  readonly addBos?: boolean;
  readonly raw?: boolean;
}

// Letters that have case, as DeepSeek's tokenizer lists them (most of the categories Lu, Ll and Lt). Escaped, because some of them turn
// into others when a tool normalises this file.
const CASED_LETTERS =
  String.raw`A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373` +
  String.raw`\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F` +
  String.raw`\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77` +
  String.raw`\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D` +
  String.raw`\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4` +
  String.raw`\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139` +
  String.raw`\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D` +
  String.raw`\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A` +
  String.raw`\uFF41-\uFF5A\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-\u{104FB}\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}` +
  String.raw`\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}`;

// Upper and lower case as llama.cpp approximates them: outside of ASCII every letter is both. GGUF files get its results, though the
// expressions that the models were trained with know the case of all letters, and keep marks with their letters.
const caseSplitting = (contraction: string, digits: string, marks = ''): string => {
  const [upper, lower] = ['a-z', 'A-Z'].map((others) =>
    marks === '' ? String.raw`[^\P{L}${others}]` : `(?:(?![${others}])[\\p{L}${marks}])`,
  );
  return [
    String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${contraction}`,
    String.raw`[^\r\n\p{L}\p{N}]?${upper}+${lower}*${contraction}`,
    digits,
    String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`,
    SPACES,
  ].join('|');
};

const THREE_DIGITS = String.raw`\p{N}{1,3}`;
const LLAMA3 = [CONTRACTION, WORD, THREE_DIGITS, PUNCTUATION, SPACES].join('|');

const LINES = String.raw`[^\n]+|\n+`;
const NOT_PUNCTUATION = String.raw` ?[^(\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+`;

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
      'modern-bert',
      'a.x-4.0',
    ],
    patterns: [GPT2],
  },
  { names: ['mpt', 'olmo', 'jais', 'trillion', 'granite-docling', 'exaone4', 'gigachat', 'mellum'], patterns: [GPT2] },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2', 'jina-v5-nano'],
    patterns: [LLAMA3],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ['dbrx', 'smaug-bpe', 'chatglm-bpe', 'glm4'], patterns: [LLAMA3] },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'hunyuan', 'kormo', 'f2llmv2', 'solar-open', 'grok-2'],
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
    names: ['starcoder', 'refact', 'command-r', 'smollm', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'],
    patterns: [String.raw`\p{N}`, GPT2],
  },
  {
    names: ['deepseek-llm'],
    patterns: [
      String.raw`[\r\n]`,
      String.raw`\s?[${CASED_LETTERS}]+`,
      String.raw`\s?[!-\/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001\u3002]+`,
      String.raw`(?<!\s)\s+$`,
      CJK,
      String.raw`\p{N}+`,
    ],
  },
  {
    names: ['deepseek-coder'],
    patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK, String.raw`\p{N}`],
  },
  {
    names: ['deepseek-v3', 'hunyuan-dense', 'joyai-llm'],
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
  {
    names: ['granite-embed-multi-97m'],
    patterns: [caseSplitting(`${CONTRACTION}?`, THREE_DIGITS, String.raw`\p{M}`)],
    ignoreMerges: true,
  },
  {
    names: ['minicpm5'],
    patterns: [THREE_DIGITS, [CONTRACTION, WORD, String.raw`\p{N}+`, PUNCTUATION, SPACES].join('|')],
    ignoreMerges: true,
  },
  {
    names: ['laguna'],
    patterns: [LINES, [CONTRACTION, WORD, String.raw`\p{N}`, PUNCTUATION, SPACES].join('|')],
  },
  { names: ['ufakzeka'], patterns: [[WORD, String.raw`\p{N}`, PUNCTUATION, SPACES].join('|')] },
  {
    names: ['seed-coder'],
    patterns: [[CONTRACTION, WORD, String.raw`\p{N}`, String.raw` ?[^\s\p{L}\p{N}\r\n]+`, SPACES].join('|')],
  },
  {
    names: ['bailingmoe', 'bailingmoe2', 'llada-moe'],
    patterns: [
      [
        `'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])`,
        WORD,
        String.raw`\p{N}`,
        PUNCTUATION,
        String.raw`\s*[\r\n]|\s+(?!\S)|\s+`,
      ].join('|'),
    ],
  },
  { names: ['bloom', 'gpt3-finnish', 'poro-chat'], patterns: [NOT_PUNCTUATION] },
  { names: ['viking'], patterns: [NOT_PUNCTUATION, String.raw`\p{N}`] },
  { names: ['gemma4', 'granite-embed-multi-311m'], patterns: [LINES], addBos: true, raw: true },
  {
    names: ['gpt-4o', 'llama4', 'kanana2', 'talkie', 'minimax-m2'],
    patterns: [caseSplitting(`${CONTRACTION}?`, THREE_DIGITS)],
  },
];

/** @throws UnsupportedModelError for a name that is not known: a guess would give wrong tokens in silence. */
export function preTokenizer(name: string): PreTokenizer {
  const recipe = RECIPES.find(({ names }) => names.includes(name));
  if (!recipe) {
    throw new UnsupportedModelError(`the pre-tokenizer "${name.slice(0, 100)}" (tokenizer.ggml.pre) is not supported`, {
      details: { key: 'tokenizer.ggml.pre', value: name.slice(0, 100) },
    });
  }
  return {
    patterns: recipe.patterns.map(compile),
    ignoreMerges: recipe.ignoreMerges ?? false,
    addBos: recipe.addBos ?? false,
    raw: recipe.raw ?? false,
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
