import { UnsupportedModelError } from '../../errors';
import type { Fields } from './fields';

const MOST_STEPS = 32;

/** The parts of a component, whose type may be a list of others. */
export function flatten(component: Fields | undefined, listKey: string, depth = 0): readonly Fields[] {
  if (!component) return [];
  if (component.text('type') !== 'Sequence') return [component];
  if (depth > 4) throw unsupported(component.where, 'lists of lists that go deeper than 4 levels');
  const parts = component.children(listKey).flatMap((part) => flatten(part, listKey, depth + 1));
  if (parts.length > MOST_STEPS) throw unsupported(component.where, `a sequence of ${parts.length} steps`);
  return parts;
}

export function unsupported(where: string, what: string): UnsupportedModelError {
  return new UnsupportedModelError(`${where}: ${what.slice(0, 200)} is not supported`, {
    details: { where, what: what.slice(0, 200) },
  });
}
