/** A character of the private use area that is in none of the texts. The messages are given as JSON, which leaves such characters alone. */
export function unusedCharacter(template: string, messages: string, controlTexts: readonly string[]): string {
  const used = new Set([template, messages, ...controlTexts].flatMap((text) => text.match(/[\uE000-\uF8FF]/g) ?? []));
  for (let unit = 0xe000; unit <= 0xf8ff; unit++) {
    const character = String.fromCharCode(unit);
    if (!used.has(character)) return character;
  }
  // Somebody wrote every such character: the supplementary area has 65,534 more, which no UTF-16 unit above stands for.
  for (let point = 0xf0000; point <= 0xffffd; point++) {
    const character = String.fromCodePoint(point);
    if (![template, messages, ...controlTexts].some((text) => text.includes(character))) return character;
  }
  return '\u{10FFFE}';
}

/**
 * The same value with a separator inside of every text that spells a control token, or begins one where the text ends. Case does not count,
 * so that a template may change it; white space at the ends stays at the ends, so that a template may trim.
 */
export function guardControlTexts<T>(value: T, controlTexts: readonly string[], separator: string): T {
  const spellings = new Set(controlTexts.map((text) => text.toLowerCase()).filter((text) => text.length > 1));
  const lengths = new Map<string, Set<number>>();
  let longest = 0;
  for (const { [0]: first, length } of spellings) {
    const same = lengths.get(first);
    if (same) same.add(length);
    else lengths.set(first, new Set([length]));
    longest = Math.max(longest, length);
  }
  const spells = (text: string, at: number): boolean => {
    const found = lengths.get(text.charAt(at).toLowerCase());
    if (!found) return false;
    for (const length of found) if (spellings.has(text.slice(at, at + length).toLowerCase())) return true;
    if (text.length - at >= longest) return false;
    const rest = text.slice(at).toLowerCase();
    for (const spelling of spellings) if (spelling.startsWith(rest)) return true;
    return false;
  };
  const guardText = (text: string): string => {
    let result = '';
    let at = 0;
    for (const character of text) {
      result += character;
      if (spells(text, at)) result += separator;
      at += character.length;
    }
    return result;
  };
  const guardAny = (item: unknown): unknown => {
    if (typeof item === 'string') return guardText(item);
    if (Array.isArray(item)) return item.map(guardAny);
    if (typeof item !== 'object' || item === null) return item;
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [guardText(key), guardAny(inner)]));
  };
  return guardAny(value) as T;
}
