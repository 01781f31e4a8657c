import { type ChatOptions, joinParts, type TemplateMessage } from './chat_messages';
import type { ChatTemplate } from './chat_template';
import { guardControlTexts, unusedCharacter } from './guard';
import type { Tokenizer } from './tokenizer';

/**
 * The prompt's tokens. The template's control tokens become tokens; what looks like one inside of a message (or a tool's description) stays
 * text, because a character that occurs nowhere else is put into it before rendering and taken out when the text is tokenised.
 */
export function renderChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly TemplateMessage[],
  options: ChatOptions = {},
): number[] {
  const joined = messages.map((message) => ({ ...message, content: joinParts(message.content) }));
  const separator = unusedCharacter(
    template.text,
    JSON.stringify([joined, options.tools ?? []]),
    tokenizer.controlTexts,
  );
  const guard = <T>(value: T): T => guardControlTexts(value, tokenizer.controlTexts, separator);
  const text = template.render(tokenizer, guard(joined), { ...options, tools: guard(options.tools) });
  const tokens = tokenizer.encode(text, { special: true, bos: false, separator });
  if (tokenizer.addsBos && tokenizer.bos !== undefined && tokens[0] !== tokenizer.bos) tokens.unshift(tokenizer.bos);
  return tokens;
}
