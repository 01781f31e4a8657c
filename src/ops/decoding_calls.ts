/** The calls between the logits and the chosen token. Shapes: [sampled rows, vocab] unless said otherwise. */
import type { StepFeature } from '../engine/step_features';
import type { Activation, State } from './op';

/** Greedy choice of each sampled row when the whole step is greedy: ties go to the lowest token id. */
export interface ArgmaxCall {
  readonly op: 'argmax';
  readonly logits: Activation;
  readonly lastTokens: State;
  readonly samples: State;
}

/**
 * The general sampler, for steps that are not all greedy, except for rows that SampleChainCall chooses. Takes all rows' tokens over into
 * the slots. See ops/sample/sample.ts, and ops/sampler_state.ts for the states.
 */
export interface SampleCall {
  readonly op: 'sample';
  readonly logits: Activation;
  readonly lastTokens: State;
  readonly counts: State;
  readonly bias: State;
  readonly past: State;
  readonly mu: State;
  readonly samples: State;
}

/** Chooses the tokens of rows whose settings ask for more than the general sampler has: any chain of samplers, mirostat. */
export interface SampleChainCall {
  readonly op: 'sample_chain';
  readonly logits: Activation;
  readonly counts: State;
  readonly bias: State;
  readonly past: State;
  readonly mu: State;
  readonly samples: State;
}

/** Logits of tokens that the row's mask (Segment.masks) forbids become -Infinity; rows without a mask stay as they are. */
export interface MaskLogitsCall {
  readonly op: 'mask_logits';
  /** [sampled rows, vocab], f32 */
  readonly logits: Activation;
}

/** What the calls of DoLa share (ops/dola.ts); rows whose segment contrasts nothing stay as they are. */
interface DolaTensors {
  /** [sampled rows, vocab], f32: the last layer's. */
  readonly logits: Activation;
  /** [sampled rows, vocab], f32: those of the layer that differs most, of the layers so far. */
  readonly base: Activation;
}

/** Keeps the logits of an early layer in `base` where it is one of the row's (Segment.dola) and differs most from the last; in order of layers. */
export interface DolaSelectCall extends DolaTensors {
  readonly op: 'dola_select';
  /** [sampled rows, vocab], f32: this layer's. */
  readonly early: Activation;
  /** [sampled rows, 1], f32: how much `base` differs, as Jensen-Shannon divergence. */
  readonly divergence: Activation;
  /** As Segment.dola counts them. */
  readonly layer: number;
}

/** logits = log p - log p', of tokens with p ≥ relativeTop · max p; of others log p - 10000, which is chosen where no other may be. */
export interface DolaContrastCall extends DolaTensors {
  readonly op: 'dola_contrast';
  readonly relativeTop: number;
}

/** Of rows whose segment is guided (Segment.guidance): logits = log p' + scale · (log p - log p'), p' being the other row's. */
export interface GuideLogitsCall {
  readonly op: 'guide_logits';
  /** [sampled rows, vocab], f32 */
  readonly logits: Activation;
}

/** A call that only steps with a feature run: no dispatch, buffer of its own or pipeline before the first of them. Absent: every step. */
export interface Optional {
  readonly when?: StepFeature;
}
