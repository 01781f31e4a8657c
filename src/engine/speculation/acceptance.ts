/** How guesses that were drawn are accepted; see SpeculationSettings. */
export const ACCEPTANCES = ['coupled', 'rejection'] as const;
export type Acceptance = (typeof ACCEPTANCES)[number];

export function isAcceptance(value: unknown): value is Acceptance {
  return (ACCEPTANCES as readonly unknown[]).includes(value);
}

/** Who gives a seed wants its output, whatever is guessed; everybody else wants it soon. */
export function defaultAcceptance(seeded: boolean): Acceptance {
  return seeded ? 'coupled' : 'rejection';
}
