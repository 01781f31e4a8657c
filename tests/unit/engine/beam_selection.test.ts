import { describe, expect, it } from 'vitest';
import { type Beam, BeamSelection } from '../../../src/engine/strategies/beam_selection';

const ln = Math.log;
const STOP = 9;
const search = (more: Partial<ConstructorParameters<typeof BeamSelection>[0]> = {}) =>
  new BeamSelection({
    numBeams: 2,
    lengthPenalty: 1,
    earlyStopping: false,
    maxTokens: 10,
    stopTokens: new Set([STOP]),
    ...more,
  });
/** A beam whose next tokens have these probabilities. */
const beam = (probabilities: Readonly<Record<number, number>>, score = 0): Beam => ({
  score,
  top: Object.entries(probabilities)
    .map(([token, p]) => [Number(token), ln(p)] as const)
    .sort(([, a], [, b]) => b - a),
});
const lasts = (beams: readonly { readonly parent: number; readonly token: number }[]) =>
  beams.map(({ parent, token }) => [parent, token]);

// By hand, from the definitions of `num_beams`, `length_penalty` and `early_stopping` in transformers' documentation.
describe('the choice of beams', () => {
  it('takes the best sums over all beams, whoever they follow', () => {
    const selection = search();
    const first = selection.advance([beam({ 1: 0.5, 2: 0.3, 3: 0.2 })]);
    expect(lasts(first.beams)).toEqual([
      [0, 1],
      [0, 2],
    ]);
    // 0.5·0.4 = 0.20 and 0.3·0.9 = 0.27, 0.5·0.35 = 0.175.
    const second = selection.advance([
      beam({ 1: 0.4, 2: 0.35, 3: 0.25 }, first.beams[0].score),
      beam({ 4: 0.9, 5: 0.1 }, first.beams[1].score),
    ]);
    expect(lasts(second.beams)).toEqual([
      [1, 4],
      [0, 1],
    ]);
    expect(second.beams[0].score).toBeCloseTo(ln(0.27), 12);
    expect(selection.hypotheses).toEqual([]);
  });

  it('takes what stops as a hypothesis only where it is among the best, and goes on with the next best in its place', () => {
    const selection = search();
    const { beams, completed } = selection.advance([beam({ 1: 0.4, [STOP]: 0.3, 2: 0.2, 3: 0.1 })]);
    expect(lasts(beams)).toEqual([
      [0, 1],
      [0, 2],
    ]);
    expect(completed.map(({ length, worth }) => [length, worth])).toEqual([[1, ln(0.3)]]);
    const third = search();
    expect(third.advance([beam({ 1: 0.5, 2: 0.3, [STOP]: 0.2 })]).completed).toEqual([]);
  });

  it.each([
    // Sums ln 0.25 of one token against ln 0.06 of three: -1.39 and -2.81.
    [0, 1],
    // -1.39 and -0.94.
    [1, 3],
    // The longer the worse: -1.39 and -8.44.
    [-1, 1],
  ])('weighs length by n^%d', (lengthPenalty, best) => {
    const selection = search({ lengthPenalty, maxTokens: 3, numBeams: 2 });
    const one = selection.advance([beam({ 1: 0.3, [STOP]: 0.25 })]);
    expect(one.completed).toHaveLength(1);
    const two = selection.advance([beam({ 1: 0.5 }, one.beams[0].score)]);
    const three = selection.advance([beam({ 1: 0.4 }, two.beams[0].score)]);
    expect(three.beams).toEqual([]);
    expect(selection.hypotheses[0].length).toBe(best);
  });

  it('ends the beams at the longest length as they are', () => {
    const selection = search({ maxTokens: 1 });
    const { beams, completed } = selection.advance([beam({ 1: 0.5, 2: 0.3, [STOP]: 0.2 })]);
    expect(beams).toEqual([]);
    expect(completed.map(({ last }) => last.token)).toEqual([1, 2]);
  });

  describe('with enough hypotheses', () => {
    /** Two hypotheses of one token, ln 0.3 and ln 0.25, and a beam of ln 0.2 and one of ln 0.15 that could go on. */
    const table = beam({ [STOP]: 0.3, 8: 0.25, 1: 0.2, 2: 0.15, 3: 0.1 });
    const stopTokens = new Set([STOP, 8]);

    it('ends at once when told so', () => {
      expect(search({ earlyStopping: true, stopTokens }).advance([table]).beams).toEqual([]);
      const first = search({ earlyStopping: false, stopTokens, lengthPenalty: 0 }).advance([table]);
      // Without a length penalty nothing that goes on can become better.
      expect(first.beams).toEqual([]);
    });

    it('ends when the best beam would be worth less if it ended now, or, with "never", at any length', () => {
      // ln 0.2 = -1.61 < ln 0.25 = -1.39: over by the heuristic, but at ten tokens -0.16 is possible.
      expect(search({ earlyStopping: false, stopTokens }).advance([table]).beams).toEqual([]);
      const never = search({ earlyStopping: 'never', stopTokens });
      expect(lasts(never.advance([table]).beams)).toEqual([
        [0, 1],
        [0, 2],
      ]);
      // At two tokens of at most two it is -0.80: better than the worse hypothesis.
      expect(search({ earlyStopping: 'never', stopTokens, maxTokens: 2 }).advance([table]).beams).toHaveLength(2);
      // A penalty that favours short ones: no more can come.
      expect(search({ earlyStopping: 'never', stopTokens, lengthPenalty: -1 }).advance([table]).beams).toEqual([]);
    });

    it('lets a better one take the place of the worst', () => {
      const selection = search({ earlyStopping: 'never', stopTokens });
      const { beams } = selection.advance([table]);
      const { completed } = selection.advance([
        beam({ [STOP]: 0.9, 1: 0.1 }, beams[0].score),
        beam({ 1: 1 }, beams[1].score),
      ]);
      // ln(0.18) / 2 = -0.86, which is better than both.
      expect(completed).toHaveLength(1);
      expect(selection.hypotheses.map(({ worth }) => worth)).toEqual(
        [ln(0.2 * 0.9) / 2, ln(0.3)].map((x) => expect.closeTo(x, 12)),
      );
    });
  });
});
