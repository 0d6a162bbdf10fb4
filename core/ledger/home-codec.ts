/** What tells of homes as tuples: the home of a record, the steps of a prefix's, and the clusters that they name. */
import type { Encodable, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId } from "../ids.ts";
import { HOMES, type Home, type HomeEvent } from "./record.ts";

const STEP = { declare: 0, release: 1, open: 2 } as const satisfies Record<HomeEvent["step"]["kind"], number>;

/** The fields of a step, for a tuple that holds more. */
export function stepFields(step: HomeEvent["step"]): readonly Encodable[] {
  switch (step.kind) {
    case "declare":
      return [STEP.declare, HOMES.indexOf(step.home), step.owner, step.waiting];
    case "release":
      return [STEP.release];
    case "open":
      return [STEP.open];
    default:
      return unreachable(step);
  }
}

/** Reads those fields. @throws OpenClawError MALFORMED_FRAME */
export function readStep(reader: TupleReader): HomeEvent["step"] {
  const kind = reader.count();
  switch (kind) {
    case STEP.declare:
      return { kind: "declare", home: readHome(reader), owner: readCluster(reader), waiting: readClusters(reader) };
    case STEP.release:
      return { kind: "release" };
    case STEP.open:
      return { kind: "open" };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a home's step of unknown kind ${kind}`);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readHome(reader: TupleReader): Home {
  const home = HOMES[reader.count()];
  if (home === undefined) throw new OpenClawError("MALFORMED_FRAME", "a home of unknown kind");
  return home;
}

/** @throws OpenClawError MALFORMED_FRAME */
export const readCluster = (reader: TupleReader): ClusterId | null =>
  reader.orNull((field) => field.that(isClusterId, "a cluster"));

/** @throws OpenClawError MALFORMED_FRAME */
export function readClusters(reader: TupleReader): readonly ClusterId[] {
  return reader.list().map((name) => {
    if (!isClusterId(name)) throw new OpenClawError("MALFORMED_FRAME", "not a cluster");
    return name;
  });
}
