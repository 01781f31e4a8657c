import type { GroupExpertsCall } from '../calls';
import type { Dispatch, Op } from '../op';
import { expectInteger, expectShape } from '../shape_check';
import { topKOf } from './route';

export const groupExpertsOp: Op<GroupExpertsCall> = {
  name: 'group_experts',

  check({ routing, experts, groups }) {
    expectShape('group_experts', `rows of "${routing.name}"`, routing.rows, 'step');
    expectInteger('group_experts', 'number of experts', experts, 1, 1024);
    expectInteger('group_experts', `topK of "${routing.name}"`, topKOf(routing), 1, experts);
    expectInteger('group_experts', `words of "${groups.state.name}"`, groups.state.words, groups.pairsAt + 1);
  },

  reference({ routing, experts, groups: { state, tileRows, pairsAt } }, env) {
    const k = topKOf(routing);
    const values = env.activation(routing);
    const target = env.state(state);
    const byExpert = Array.from({ length: experts }, (): number[] => []);
    for (let pair = 0; pair < (values.length / routing.cols) * k; pair++) {
      byExpert[values[Math.floor(pair / k) * routing.cols + (pair % k)]].push(pair);
    }
    let tiles = 0;
    let place = 0;
    byExpert.forEach((pairs, expert) => {
      for (let done = 0; done < pairs.length; done += tileRows) {
        target.set([expert, place + done, Math.min(tileRows, pairs.length - done)], 1 + 3 * tiles);
        tiles++;
      }
      target.set(pairs, pairsAt + place);
      place += pairs.length;
    });
    target[0] = tiles;
  },

  dispatches({ routing, experts, groups: { state, tileRows, pairsAt } }): readonly Dispatch[] {
    const k = topKOf(routing);
    return [
      {
        label: `group_experts ${experts} by ${tileRows}`,
        source: {
          entry: 'ops/group_experts.wgsl',
          constants: { EXPERTS: experts, TOP_K: k, TILE_ROWS: tileRows },
          overrides: { PAIRS: pairsAt },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: routing, access: 'read' },
          { kind: 'state', state, access: 'write' },
        ],
        workgroups: () => [1, 1, 1],
        traffic: (step) => 2 * step.rows * k * 4,
      },
    ];
  },
};
