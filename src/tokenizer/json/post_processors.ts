import { type Fields, isCount, mismatch } from './fields';
import { flatten, unsupported } from './steps';

/** Tokens around a text. */
interface Surroundings {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** `post_processor` of tokenizer.json, for one text: what goes before and after it. */
export function readPostProcessor(component: Fields | undefined): Surroundings {
  let prefix: readonly number[] = [];
  let suffix: readonly number[] = [];
  for (const step of flatten(component, 'processors')) {
    const type = step.text('type');
    switch (type) {
      case 'ByteLevel':
        break;
      case 'TemplateProcessing': {
        const found = readTemplate(step);
        prefix = [...found.prefix, ...prefix];
        suffix = [...suffix, ...found.suffix];
        break;
      }
      case 'BertProcessing':
      case 'RobertaProcessing':
        prefix = [pairId(step, 'cls'), ...prefix];
        suffix = [...suffix, pairId(step, 'sep')];
        break;
      default:
        throw unsupported(step.where, `the post-processor "${type}"`);
    }
  }
  return { prefix, suffix };
}

function readTemplate(step: Fields): Surroundings {
  const specials = step.optionalChild('special_tokens');
  const prefix: number[] = [];
  const suffix: number[] = [];
  let seen = 0;
  for (const piece of step.children('single')) {
    if (piece.has('Sequence')) {
      seen++;
      continue;
    }
    const name = piece.child('SpecialToken').text('id');
    const special = specials?.optionalChild(name);
    if (!special) throw mismatch(step.at('special_tokens'), `an entry ${JSON.stringify(name)}`, undefined);
    for (const id of special.list('ids')) {
      if (!isCount(id)) throw mismatch(special.at('ids'), 'ids of tokens', id);
      (seen === 0 ? prefix : suffix).push(id);
    }
  }
  if (seen !== 1) throw mismatch(step.at('single'), 'the text once', seen);
  return { prefix, suffix };
}

/** The id in a pair such as ["[CLS]", 101]. */
function pairId(step: Fields, key: string): number {
  const [, id] = step.list(key);
  if (!isCount(id)) throw mismatch(step.at(key), 'a pair of text and id', id);
  return id;
}
