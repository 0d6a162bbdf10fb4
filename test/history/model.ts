/** What the search needs to know of the thing whose history it checks. */

export const REFUSED: unique symbol = Symbol("refused");

export interface Model<State, Step> {
  readonly initial: State;
  /** The state after the step; REFUSED if what its caller saw cannot be seen in this state. */
  step(state: State, step: Step): State | typeof REFUSED;
  /** Equal for equal states. */
  key(state: State): string | number | null;
  /** Never changes the state, only accepts or refuses it. */
  observes(step: Step): boolean;
  /** Equal for steps that do the same in every state: they may stand in for each other. */
  alike(step: Step): string;
  /** Foresight over all steps of a history, none of which has a place yet. */
  outlook(steps: readonly Timed<Step>[]): Outlook<State>;
}

/** Follows which steps have their place in the order that is being tried, and sees from that when it cannot succeed. */
export interface Outlook<State> {
  placed(index: number): void;
  unplaced(index: number): void;
  /**
   * After a step was placed that made `after` of `before`: true only if no way on from here gives every step that must
   * have a place one.
   */
  isHopeless(before: State, after: State): boolean;
}

/** A step with the span of time in which it took effect. */
export type Timed<Step> =
  /** Took effect between the two moments. */
  | { readonly kind: "must"; readonly step: Step; readonly invoked: number; readonly returned: number }
  /** Took effect after `invoked` or never. After `usefulUntil` it can make no difference to anybody. */
  | { readonly kind: "may"; readonly step: Step; readonly invoked: number; readonly usefulUntil: number };
