import { expect, test } from 'vitest';
import { ContextOverflow } from '../../../src/engine/context_overflow';
import { ChatTemplate } from '../../../src/tokenizer/chat_template';
import { renderChat } from '../../../src/tokenizer/render_chat';
import { chatOverflow } from '../../../src/worker/chat_overflow';
import type { ChatMessage } from '../../../src/worker/protocol';
import { demoModel } from '../../support/demo_model';

const CONTEXT = 160;
const TEMPLATE =
  "{% for m in messages %}{{ '[' + m.role + '] ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
const system = (content: string): ChatMessage => ({ role: 'system', content });
const user: ChatMessage = { role: 'user', content: 'Tell me more about the fox and the dog. '.repeat(20) };
const { tokenizer } = await demoModel();

function kept(messages: readonly ChatMessage[], template = TEMPLATE, settings = {}) {
  const model = { tokenizer, template: new ChatTemplate(template) };
  const tokens = renderChat(tokenizer, model.template, messages);
  const found = chatOverflow(model, messages, tokens, settings, CONTEXT);
  new ContextOverflow(found, CONTEXT).shorten(tokens);
  expect(tokens.length).toBeLessThanOrEqual(CONTEXT);
  return { text: tokenizer.decode(tokens), settings: found };
}

test('a system message stays whole in a chat that has outgrown the context', () => {
  const told =
    'Answer as a friendly owl who lives in an old tree and likes to count the stars at night. Never be rude to anybody.';
  const { text } = kept([system(told), user]);
  expect(text).toContain(`[system] ${told}\n`);
  expect(text.length).toBeGreaterThan(told.length + 40);
});

test('one that is too long stays by its beginning, in half of the context', () => {
  expect(kept([system('Be kind. '.repeat(60)), user]).settings).toEqual({ sinks: CONTEXT / 2 });
});

test('nothing changes without one, where the caller says what stays, or where the template takes no system message alone', () => {
  expect(kept([user]).settings).toEqual({});
  expect(kept([system('Be kind.'), user], TEMPLATE, { sinks: 3 }).settings).toEqual({ sinks: 3 });
  const refusing = `{% if messages|length < 2 %}{{ raise_exception('a user must speak') }}{% endif %}${TEMPLATE}`;
  expect(kept([system('Be kind.'), user], refusing).settings).toEqual({});
});
