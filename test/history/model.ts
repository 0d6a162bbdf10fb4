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
}

/** A step with the span of time in which it took effect. */
export type Timed<Step> =
  /** Took effect between the two moments. */
  | { readonly kind: "must"; readonly step: Step; readonly invoked: number; readonly returned: number }
  /** Took effect after `invoked` or never. After `usefulUntil` it can make no difference to anybody. */
  | { readonly kind: "may"; readonly step: Step; readonly invoked: number; readonly usefulUntil: number };
