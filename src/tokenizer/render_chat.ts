import type { ChatTemplate } from './chat_template';
import { guardControlTexts, unusedCharacter } from './guard';
import type { Tokenizer } from './tokenizer';

interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A message; fields beside the two named ones reach the template as they are. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string | readonly TextPart[];
}

export interface ChatOptions {
  /** Whether the prompt ends where the assistant's answer begins. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Descriptions of tools in the form that the template expects. */
  readonly tools?: readonly object[];
}

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

/** A message's content as one text. */
export function joinParts(content: TemplateMessage['content']): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}
