/** The chat page: wires the panels to one conversation. Everything of the model goes through the SDK. */
import { Chat } from './chat';
import { Composer } from './composer';
import { button, byId, el } from './dom';
import { onFilesDropped } from './drop';
import { formatAdapter } from './format';
import { ModelPanel } from './model_panel';
import { SettingsForm } from './settings';
import { startTheme } from './theme';
import { guardScriptAddresses } from './trusted_types';

const SUGGESTIONS = [
  'Who are you?',
  'What is FlashAttention?',
  'What is the capital of France?',
  'Tell me a story about a fox.',
];

guardScriptAddresses();

const noGpu = byId('no-gpu', HTMLElement);
const announcer = byId('announcer', HTMLElement);
const welcome = byId('welcome', HTMLElement);
const demoNote = byId('demo-note', HTMLElement);
const modelName = byId('model-name', HTMLElement);
const modelWhere = byId('model-where', HTMLElement);

startTheme(byId('theme-button', HTMLButtonElement));

const settings = new SettingsForm(byId('settings-form', HTMLFormElement));
const settingsDialog = byId('settings-dialog', HTMLDialogElement);
byId('settings-button', HTMLButtonElement).addEventListener('click', () => settingsDialog.showModal());
for (const dialog of document.querySelectorAll('dialog')) closeByBackdrop(dialog);

const models = new ModelPanel(update);
const chat = new Chat({
  scroller: byId('conversation', HTMLElement),
  list: byId('turns', HTMLElement),
  settings: () => settings.values,
  announce: (text) => {
    announcer.textContent = text;
  },
  onChange: update,
  startNewChat,
});
const composer = new Composer(ask, () => chat.stop());

byId('new-chat', HTMLButtonElement).addEventListener('click', startNewChat);
byId('welcome-open', HTMLButtonElement).addEventListener('click', () => models.show());
const suggestions = SUGGESTIONS.map((text) => button(text, () => ask(text), 'suggestion'));
byId('suggestions', HTMLElement).append(...suggestions.map((suggestion) => el('li', {}, suggestion)));
onFilesDropped((files) => void models.loadFiles(files));

update();
// Not on a phone: there it would open the keyboard.
if (matchMedia('(hover: hover) and (pointer: fine)').matches) composer.focus();
void models.loadDemo();

function ask(text: string): void {
  if (models.engine) void chat.ask(models.engine, text);
}

function startNewChat(): void {
  chat.clear();
  composer.focus();
}

/** Shows what is true now. */
function update(): void {
  const info = models.engine?.info;
  modelName.textContent = info?.model ?? (models.loading ? 'Loading…' : 'No model');
  modelWhere.textContent = info ? formatAdapter(info) : '';
  demoNote.hidden = info !== undefined && !models.isDemo;
  welcome.hidden = !chat.empty;
  for (const suggestion of suggestions) suggestion.disabled = !info;
  const isTiny = models.isDemo ? 'A tiny demonstration model: often wrong.' : 'Language models make mistakes.';
  composer.update({
    ready: info !== undefined,
    loading: models.loading,
    running: chat.running,
    note: info ? `${isTiny} Everything stays on this device.` : 'The model is not loaded yet.',
  });
  noGpu.hidden = info?.backend !== 'reference';
}

function closeByBackdrop(dialog: HTMLDialogElement): void {
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
}
