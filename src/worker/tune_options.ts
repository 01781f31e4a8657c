import type { TuneOptions } from '../model/layout';
import { browserTextStore } from '../storage/text_store';

/** What a caller's choice means for the autotuner; measurements are kept where the browser keeps things. */
export function tuneOptions(tune: boolean | undefined): TuneOptions {
  return { mode: tune === undefined ? 'auto' : tune ? 'always' : 'never', store: browserTextStore() };
}
