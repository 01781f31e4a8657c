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

/** A message's content as one text. */
export function joinParts(content: TemplateMessage['content']): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}
