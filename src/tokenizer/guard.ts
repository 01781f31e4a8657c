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
  const byFirst = new Map<string, string[]>();
  for (const text of controlTexts) {
    const folded = text.toLowerCase();
    if (folded.length < 2) continue;
    const same = byFirst.get(folded.charAt(0));
    if (same) same.push(folded);
    else byFirst.set(folded.charAt(0), [folded]);
  }
  const guardText = (text: string): string => {
    let result = '';
    for (let at = 0; at < text.length; at++) {
      result += text.charAt(at);
      const candidates = byFirst.get(text.charAt(at).toLowerCase());
      if (candidates?.some((candidate) => spells(text, at, candidate))) result += separator;
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

/** Whether `text` from `at` on is the control token's text, or ends within it. */
function spells(text: string, at: number, candidate: string): boolean {
  const length = Math.min(candidate.length, text.length - at);
  return text.slice(at, at + length).toLowerCase() === candidate.slice(0, length);
}
