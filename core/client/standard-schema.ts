/**
 * The Standard Schema interface, version 1 (https://standardschema.dev), which zod, valibot, arktype and others implement:
 * so none of them is a dependency. And the check of one value by one.
 */
import { InvariantViolation, OpenClawError } from "../errors.ts";

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Checked<Output> | Promise<Checked<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** For what only the app understands. */
export const ANY_VALUE: StandardSchema = {
  "~standard": { version: 1, vendor: "openclaw", validate: (value) => ({ value }) },
};

type Checked<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Issues, and characters of each, that are told. */
const ISSUES_MAX = 3;
const ISSUE_CHARACTERS_MAX = 200;

/**
 * The value as the schema gives it. A schema that answers later is refused: a put is queued in the turn in which it is
 * called, so that writes are in the order of their calls.
 * @throws OpenClawError VALUE_INVALID; BAD_REQUEST for an asynchronous schema
 */
export function checked<Output>(schema: StandardSchema<unknown, Output>, value: unknown): Output {
  let result: Checked<Output> | Promise<Checked<Output>>;
  try {
    result = schema["~standard"].validate(value);
  } catch (error) {
    if (error instanceof InvariantViolation) throw error;
    throw new OpenClawError("VALUE_INVALID", cut(`the schema failed: ${String(error)}`), { cause: error });
  }
  // Not every promise is this realm's: one that was taken for a result would pass as a value that is undefined.
  if ("then" in result) {
    // Nobody waits for it.
    Promise.resolve(result).catch(() => undefined);
    throw new OpenClawError("BAD_REQUEST", "the schema is asynchronous; check such things before, or after the read");
  }
  if (result.issues === undefined) return result.value;
  throw new OpenClawError("VALUE_INVALID", result.issues.slice(0, ISSUES_MAX).map(told).join("; "));
}

function told({ message, path = [] }: Issue): string {
  const where = path.map((step) => String(typeof step === "object" ? step.key : step)).join(".");
  return cut(where === "" ? message : `${where}: ${message}`);
}

const cut = (text: string): string => text.slice(0, ISSUE_CHARACTERS_MAX);
