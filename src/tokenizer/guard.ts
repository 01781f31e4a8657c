import { Trie } from './trie';

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
  const spellings = controlTexts.map((text) => text.toLowerCase()).filter((text) => text.length > 1);
  const trie = new Trie(spellings.map((text, i) => [text, i]));
  const spells = (text: string, start: number): boolean => {
    let node = 0;
    for (let at = start; at < text.length; at++) {
      const lower = text.charAt(at).toLowerCase();
      for (let unit = 0; unit < lower.length; unit++) {
        node = trie.next(node, lower.charCodeAt(unit));
        if (node === 0) return false;
        if (trie.valueOf(node) !== undefined) return true;
      }
    }
    return true;
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
