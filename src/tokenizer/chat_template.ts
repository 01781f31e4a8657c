import { type GgufMetadata, optionalString } from '../formats/gguf/gguf';
import { BoundedTemplate } from './bounded_template';
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

/** What a model without a template gets: `chatml` when its vocabulary has `<|im_start|>`, `plain` otherwise. */
export const DEFAULT_TEMPLATES = {
  chatml:
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  plain:
    "{% for message in messages %}{{ (message['role'] | capitalize) + ': ' + message['content'] + '\\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
} as const;

interface FoundTemplate {
  readonly template: string;
  readonly isDefault: boolean;
  /** Which default it is. */
  readonly name?: keyof typeof DEFAULT_TEMPLATES;
}

/** The template's text: the file's own, or one of `DEFAULT_TEMPLATES`. */
export function templateOf(gguf: GgufMetadata, tokenizer: Tokenizer): FoundTemplate {
  const template = optionalString(gguf, 'tokenizer.chat_template');
  if (template) return { template, isDefault: false };
  const kind = tokenizer.tokenId('<|im_start|>') === undefined ? 'plain' : 'chatml';
  return { template: DEFAULT_TEMPLATES[kind], isDefault: true, name: kind };
}

/** The parsed template of a model. @throws TemplateError when it is too long or no Jinja. */
export function chatTemplate(gguf: GgufMetadata, tokenizer: Tokenizer): ChatTemplate {
  return new ChatTemplate(templateOf(gguf, tokenizer).template);
}

export class ChatTemplate {
  readonly text: string;
  readonly #template: BoundedTemplate;

  constructor(text: string) {
    this.text = text;
    this.#template = new BoundedTemplate(text);
  }

  /**
   * The prompt as text, with the variables that `apply_chat_template` of transformers sets. Text parts of a message are joined.
   * @throws TemplateError with the template's own message when it refuses the messages, or when it exceeds its bounds.
   */
  render(tokenizer: Tokenizer, messages: readonly TemplateMessage[], options: ChatOptions = {}): string {
    const textOf = (id: number | undefined) => (id === undefined ? '' : tokenizer.tokenText(id));
    const variables = {
      messages: messages.map((message) => ({ ...message, content: joinParts(message.content) })),
      add_generation_prompt: options.addGenerationPrompt ?? true,
      bos_token: textOf(tokenizer.bos),
      eos_token: textOf(tokenizer.eos),
      ...(options.tools && { tools: options.tools }),
    };
    return this.#template.render(variables, JSON.stringify(variables).length);
  }
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

function joinParts(content: TemplateMessage['content']): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}
