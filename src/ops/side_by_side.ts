import type { Binding, Dispatch } from './op';

/**
 * Two dispatches as one, each kernel in workgroups of its own along x: one launch in place of two, and the smaller one fills what the
 * larger leaves idle. The first's grid is `firstGroups` along x and 1 along y in every step, the second's has 1 along y; both have the
 * same workgroup size, run in the same steps with the same count along z, and neither reads what the other writes.
 */
export function sideBySide(first: Dispatch, second: Dispatch, firstGroups: number): Dispatch {
  const extra: Binding[] = [];
  const bindings = second.bindings.map((binding, i) => {
    if (isSame(binding, first.bindings[i])) return i;
    extra.push(binding);
    return first.bindings.length + extra.length - 1;
  });
  return {
    label: `${first.label} beside ${second.label}`,
    source: { ...first.source, beside: { kernel: second.source, fromGroup: firstGroups, bindings } },
    bindings: [...first.bindings, ...extra],
    workgroups: (step) => {
      const [, , z] = first.workgroups(step);
      return [firstGroups + second.workgroups(step)[0], 1, z];
    },
    traffic: (step) => first.traffic(step) + second.traffic(step),
  };
}

/** Bindings are plain data. */
function isSame(a: Binding, b: Binding | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
