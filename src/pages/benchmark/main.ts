/** The benchmark page: chooses a model, runs the suite in a worker, shows what it says. Everything comes through the SDK. */
import { type BenchmarkProgress, runBenchmark } from '../../bench';
import { AbortedError, type ModelFile } from '../../index';
import { byId, el } from '../chat/dom';
import { chosenFiles, onFilesDropped } from '../chat/drop';
import { describeError } from '../chat/errors';
import { Mosaic } from '../chat/mosaic';
import { startTheme } from '../chat/theme';
import { guardScriptAddresses } from '../chat/trusted_types';
import { CHOICES, fileChoice, type ModelChoice } from './models';
import { Results } from './results';

guardScriptAddresses();
startTheme(byId('theme-button', HTMLButtonElement));

const form = byId('bench-form', HTMLFormElement);
const select = byId('bench-model', HTMLSelectElement);
const note = byId('bench-model-note', HTMLElement);
const run = byId('run', HTMLButtonElement);
const cancel = byId('cancel', HTMLButtonElement);
const progress = byId('bench-progress', HTMLElement);
const doing = byId('bench-doing', HTMLElement);
const problem = byId('bench-error', HTMLElement);
const announcer = byId('announcer', HTMLElement);
const mosaic = new Mosaic(byId('bench-mosaic', HTMLElement), 24, 2);
const results = new Results();
const choices: ModelChoice[] = [...CHOICES];
let running: AbortController | undefined;

const groups = new Map<string, HTMLElement>();
for (const { group, label } of choices) {
  const option = el('option', {}, label);
  if (group === undefined) select.append(option);
  else {
    const place = groups.get(group) ?? select.appendChild(el('optgroup', { label: group }));
    groups.set(group, place);
    place.append(option);
  }
}
select.addEventListener('change', showNote);
showNote();

for (const input of [byId('bench-file', HTMLInputElement), byId('bench-folder', HTMLInputElement)]) {
  input.addEventListener('change', () => {
    const chosen = chosenFiles(input);
    input.value = ''; // So that choosing the same file again counts as a choice.
    choose(chosen);
  });
}
onFilesDropped((files) => {
  void files.then(choose, (error: unknown) => {
    problem.textContent = `Could not read what was dropped. ${describeError(error)}`;
    problem.hidden = false;
  });
});
cancel.addEventListener('click', () => running?.abort());
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void measure();
});

function choose(files: readonly ModelFile[]): void {
  const choice = fileChoice(files);
  if (!choice) return;
  choices.push(choice);
  select.append(el('option', {}, choice.label));
  select.selectedIndex = choices.length - 1;
  showNote();
}

function showNote(): void {
  note.textContent = choices[select.selectedIndex].note;
}

async function measure(): Promise<void> {
  if (running) return;
  const choice = choices[select.selectedIndex];
  running = new AbortController();
  showRunning(true);
  results.clear();
  try {
    const report = await runBenchmark({
      model: choice.model(),
      quick: byId('bench-quick', HTMLInputElement).checked,
      profile: byId('bench-profile', HTMLInputElement).checked,
      activationType: byId('bench-halves', HTMLInputElement).checked ? 'f16' : 'f32',
      signal: running.signal,
      onProgress: show,
    });
    results.show(report, true);
    announcer.textContent = 'The benchmark has ended.';
  } catch (error) {
    if (!(error instanceof AbortedError)) {
      problem.textContent = `Could not measure ${choice.label}. ${describeError(error, choice.label)}`;
      problem.hidden = false;
    } else announcer.textContent = 'The benchmark was cancelled.';
  } finally {
    running = undefined;
    showRunning(false);
  }
}

function showRunning(isRunning: boolean): void {
  run.disabled = isRunning;
  cancel.hidden = !isRunning;
  progress.hidden = !isRunning;
  if (!isRunning) return;
  problem.hidden = true;
  doing.textContent = 'Starting…';
  mosaic.show(0, true);
}

function show({ doing: what, fraction, report }: BenchmarkProgress): void {
  // What was still on its way when the run was cancelled.
  if (!running || running.signal.aborted) return;
  doing.textContent = `${what.charAt(0).toUpperCase()}${what.slice(1)}…`;
  mosaic.show(fraction, true);
  results.show(report, false);
}
