import { type GgufMetadata, optionalString } from '../formats/gguf/gguf';
import { BoundedTemplate } from './bounded_template';
import { type ChatOptions, joinParts, type TemplateMessage } from './chat_messages';
import type { Tokenizer } from './tokenizer';

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
