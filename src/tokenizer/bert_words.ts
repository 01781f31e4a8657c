interface BertWordsOptions {
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
}

/**
 * BERT's words as llama.cpp cuts them: at white space, with every punctuation mark and every Chinese character by itself. A character loses
 * its accents by becoming the first one of its canonical decomposition.
 */
export function bertWords(text: string, { lowercase, stripAccents }: BertWordsOptions): string[] {
  const words: string[] = [];
  const word: string[] = [];
  const finish = () => {
    if (word.length > 0) words.push(word.join(''));
    word.length = 0;
  };
  for (const written of text) {
    const character = stripAccents ? firstOfDecomposition(written) : written;
    if (/\p{White_Space}/u.test(character)) finish();
    else if (
      character !== '\ufffd' &&
      !/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u.test(character) &&
      !(stripAccents && /\p{M}/u.test(character))
    ) {
      const lower = lowercase ? lowerCase(character) : character;
      if (standsAlone(character)) {
        finish();
        words.push(lower);
      } else word.push(lower);
    }
  }
  finish();
  return words;
}

function firstOfDecomposition(character: string): string {
  return character < '\u0080' ? character : String.fromCodePoint(character.normalize('NFD').codePointAt(0) ?? 0);
}

/** One character for one: the few that become two in small letters stay as they are. */
function lowerCase(character: string): string {
  const lower = character.toLowerCase();
  return Array.from(lower).length === 1 ? lower : character;
}

function standsAlone(character: string): boolean {
  return /\p{P}/u.test(character) || /[$+<=>^`|~]/.test(character) || isChinese(character.codePointAt(0) ?? 0);
}

/** The blocks of the multilingual model of BERT, with a slip (0x2b920) that its implementations share. */
export function isChinese(point: number): boolean {
  return (
    (point >= 0x4e00 && point <= 0x9fff) ||
    (point >= 0x3400 && point <= 0x4dbf) ||
    (point >= 0x20000 && point <= 0x2a6df) ||
    (point >= 0x2a700 && point <= 0x2b73f) ||
    (point >= 0x2b740 && point <= 0x2b81f) ||
    (point >= 0x2b920 && point <= 0x2ceaf) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0x2f800 && point <= 0x2fa1f)
  );
}
