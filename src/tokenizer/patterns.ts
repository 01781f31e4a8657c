/** Parts of the expressions by which byte-level vocabularies cut text into words. */
export const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
export const CONTRACTION = String.raw`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`;
export const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
export const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
export const PUNCTUATION = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
export const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
export const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
/** U+0800 to U+9FA5 without white space, where llama.cpp sees none of these, and Hangul. */
export const CJK =
  String.raw`[\u0800-\u167F\u1681-\u1FFF\u200B-\u2027\u202A-\u202E\u2030-\u205E\u2060-\u2FFF\u3001-\u9FA5` +
  String.raw`\uAC00-\uD7FF]+`;

/** JavaScript's \s knows U+FEFF and not U+0085; the property is the set that the vocabularies were trained with. */
export function compile(pattern: string): RegExp {
  return new RegExp(
    pattern
      .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
      .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`),
    'gu',
  );
}
