import { defaultSinks, type OverflowSettings } from '../engine/context_overflow';
import { TemplateError } from '../errors';
import type { ChatTemplate } from '../tokenizer/chat_template';
import { renderChat } from '../tokenizer/render_chat';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { ChatMessage } from './protocol';

/**
 * What of a chat stays in a full context where nobody says how much of its beginning does: all of its system message, up to half of the
 * context, since that is what the model was told for the whole chat. `tokens`: the chat's.
 */
export function chatOverflow(
  { tokenizer, template }: { readonly tokenizer: Tokenizer; readonly template: ChatTemplate },
  messages: readonly ChatMessage[],
  tokens: readonly number[],
  settings: OverflowSettings,
  contextLength: number,
): OverflowSettings {
  if (settings.sinks !== undefined || messages[0]?.role !== 'system') return settings;
  let alone: readonly number[];
  try {
    alone = renderChat(tokenizer, template, messages.slice(0, 1), { addGenerationPrompt: false });
  } catch (error) {
    // A template may refuse a chat of one message: then the usual beginning stays.
    if (error instanceof TemplateError) return settings;
    throw error;
  }
  const differs = tokens.findIndex((token, i) => token !== alone[i]);
  const shared = differs < 0 ? tokens.length : differs;
  const sinks = Math.min(Math.max(defaultSinks(contextLength), shared), Math.floor(contextLength / 2));
  return { ...settings, sinks };
}
