/** What clients of keys and leases were told is what the serial model says, in an order that fits when they asked. */
import { isDeepStrictEqual } from "node:util";
import { range } from "../../model/etcd.ts";
import { type Effect, realTimeFaults } from "./linearizability.ts";
import type { Asked, Requests, Told } from "./requests.ts";
import type { SerialModel } from "./serial-model.ts";

export function requestFaults({ all }: Requests, model: SerialModel): readonly string[] {
  const faults: string[] = [];
  const effects: Effect<Asked>[] = [];
  for (const asked of all) {
    const { told } = asked;
    const effect = told?.kind === "saw" ? readEffect(asked, told, model) : commandEffect(asked, told, model);
    if (typeof effect === "string") faults.push(effect);
    else if (effect !== null) effects.push(effect);
  }
  return [...faults, ...realTimeFaults(effects, described)];
}

function commandEffect(
  asked: Asked,
  told: Extract<Told, { kind: "outcome" }> | null,
  model: SerialModel,
): Effect<Asked> | string | null {
  const place = model.places.get(asked.name);
  if (place === undefined) return told === null ? null : `${described(asked)} was answered, and is not in the log`;
  if (!isDeepStrictEqual(place.request, asked.request))
    return `${described(asked)} was committed as ${JSON.stringify(place.request)}`;
  if (told !== null && !isDeepStrictEqual(told.answer, place.answer))
    return `${described(asked)} was told ${JSON.stringify(told.answer)}, the model says ${JSON.stringify(place.answer)}`;
  return { call: asked, from: place.sequence, to: place.sequence };
}

function readEffect(asked: Asked, told: Extract<Told, { kind: "saw" }>, model: SerialModel): Effect<Asked> | string {
  const state = model.at(told.at);
  if (asked.request.op !== "range" || state === null) return `${described(asked)} was read at revision ${told.at}`;
  const expected = range(state.rows, asked.request);
  if (!isDeepStrictEqual(told.response, expected))
    return `${described(asked)} saw ${JSON.stringify(told.response)} at ${told.at}, where there was ${JSON.stringify(expected)}`;
  return { call: asked, from: state.from, to: state.to };
}

const described = ({ name, request }: Asked): string => `${name}'s ${JSON.stringify(request)}`;
