/** What clients of keys and leases were told is what the serial model says, in an order that fits when they asked. */
import { isDeepStrictEqual } from "node:util";
import { type Response, range } from "../../model/etcd.ts";
import { type Effect, realTimeFaults } from "./linearizability.ts";
import type { Asked, Requests, Told } from "./requests.ts";
import type { SerialModel } from "./serial-model.ts";

export function requestFaults({ all }: Requests, model: SerialModel): readonly string[] {
  const faults: string[] = [];
  const effects: Effect<Asked>[] = [];
  for (const asked of all) {
    const effect = effectOf(asked, model);
    if (typeof effect === "string") faults.push(effect);
    else if (effect !== null) effects.push(effect);
  }
  return [...faults, ...realTimeFaults(effects, described)];
}

/** Null where there is none: of what was long ago, and of what is told again, no order is promised. */
function effectOf(asked: Asked, model: SerialModel): Effect<Asked> | string | null {
  const { told, request } = asked;
  switch (told?.kind) {
    case "saw":
      return readEffect(asked, told, model);
    case "was":
      return request.op === "range" ? readFault(asked, told.response, request.at, model) : null;
    case "outcome":
    case undefined:
      return commandEffect(asked, told, model);
  }
}

function commandEffect(
  asked: Asked,
  told: Extract<Told, { kind: "outcome" }> | null,
  model: SerialModel,
): Effect<Asked> | string | null {
  if (asked.request.op === "range") return null;
  const place = model.places.get(asked.name);
  if (place === undefined) return told === null ? null : `${described(asked)} was answered, and is not in the log`;
  if (!isDeepStrictEqual(place.request, asked.request))
    return `${described(asked)} was committed as ${JSON.stringify(place.request)}`;
  if (told !== null && !isDeepStrictEqual(told.answer, place.answer))
    return `${described(asked)} was told ${JSON.stringify(told.answer)}, the model says ${JSON.stringify(place.answer)}`;
  return asked.repeats ? null : { call: asked, from: place.sequence, to: place.sequence };
}

function readEffect(asked: Asked, told: Extract<Told, { kind: "saw" }>, model: SerialModel): Effect<Asked> | string {
  const state = model.at(told.at);
  return readFault(asked, told.response, told.at, model) ?? { call: asked, from: state?.from ?? 0, to: state?.to ?? 0 };
}

function readFault(asked: Asked, response: Response, at: number, model: SerialModel): string | null {
  const state = model.at(at);
  if (asked.request.op !== "range" || state === null) return `${described(asked)} was read at revision ${at}`;
  const expected = range(state.rows, asked.request);
  if (isDeepStrictEqual(response, expected)) return null;
  return `${described(asked)} saw ${JSON.stringify(response)} at ${at}, where there was ${JSON.stringify(expected)}`;
}

const described = ({ name, request }: Asked): string => `${name}'s ${JSON.stringify(request)}`;
