import { ANY_VALUE, type StandardSchema } from "@openclaw/core/client/standard-schema.ts";
import { useMemo, useSyncExternalStore } from "react";
import { NOBODY, type PresencePlace, PresenceSource, type PresenceState } from "./presence-source.ts";
import { useClient } from "./provider.ts";

export interface PresenceView<Input, Output> extends PresenceState<Output> {
  /**
   * What others see of this page, as long as the component is there; null: it leaves. The same function for the same client
   * and place: an effect that depends on it says it again where it has to be. @throws OpenClawError VALUE_INVALID, BAD_REQUEST
   */
  readonly set: (value: Input | null) => void;
}

const nothing = (): void => {};
const never = (): (() => void) => nothing;
const nobody = (): PresenceState<never> => NOBODY;

/**
 * Who else is at a document, or under a name; null: nowhere yet, such as while a document is being opened. Nothing of it is
 * stored. What others say is theirs: show it as text.
 * @param options.schema what each value is to be: any Standard Schema. Give the same one each time
 */
export function usePresence(place: PresencePlace | null): PresenceView<unknown, unknown>;
export function usePresence<Input, Output>(
  place: PresencePlace | null,
  options: { readonly schema: StandardSchema<Input, Output> },
): PresenceView<Input, Output>;
export function usePresence(
  place: PresencePlace | null,
  { schema }: { readonly schema: StandardSchema } = { schema: ANY_VALUE },
): PresenceView<unknown, unknown> {
  const client = useClient();
  const name = typeof place === "string" ? place : null;
  const { collection = null, id = null } = typeof place === "string" ? {} : (place ?? {});
  const source = useMemo(() => {
    if (client === null) return null;
    if (name !== null) return new PresenceSource(client, name, schema);
    return collection === null || id === null ? null : new PresenceSource(client, { collection, id }, schema);
  }, [client, name, collection, id, schema]);
  const state = useSyncExternalStore(source?.subscribe ?? never, source?.state ?? nobody, nobody);
  return useMemo(() => ({ ...state, set: source?.set ?? nothing }), [state, source]);
}
