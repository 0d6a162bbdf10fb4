/**
 * Key-value histories: one map a line, in the order of real time.
 *
 *     {:process 0, :type :invoke|:ok, :f :get|:put|:append, :key "k", :value nil|"v"}
 *
 * Keys are independent and at first the empty string, which is the same as no value here. A get is invoked with nil and
 * returns what it saw. Beyond this public format, so that histories with failures can be kept:
 *
 *     :type :info    of unknown outcome: took effect, or will at any later time, or never
 *     :type :fail    did not happen; but of a cas with its [from to]: saw that the value was not `from`
 *     :f :delete     :value nil
 *     :f :cas        :value [from to], each nil or "v"
 *
 * In :info and :fail lines the value may be nil in place of what was invoked. Other fields are ignored.
 */
import { type EdnValue, readEdnMap } from "./edn-map.ts";
import { type Call, HistoryError, type Operation, type Outcome, type Value } from "./history.ts";
import { Recorder } from "./recorder.ts";

/**
 * @param lines without those that are blank, each with its number, which becomes the moment of its event
 * @throws HistoryError naming the line
 */
export function readKeyValueLog(
  lines: Iterable<{ readonly number: number; readonly text: string }>,
): readonly Operation[] {
  let moment = 0;
  const recorder = new Recorder(() => moment);
  for (const { number, text } of lines) {
    moment = number;
    try {
      record(recorder, eventOf(text));
    } catch (error) {
      throw error instanceof HistoryError ? new HistoryError(`line ${number}: ${error.message}`) : error;
    }
  }
  return recorder.operations().map(withoutEmpty);
}

interface Event {
  readonly process: number;
  readonly type: string;
  readonly f: string;
  readonly key: string;
  readonly value: EdnValue;
}

function eventOf(text: string): Event {
  const fields = readEdnMap(text);
  const field = <Kind extends EdnValue["kind"]>(name: string, kind: Kind): Extract<EdnValue, { kind: Kind }> => {
    const value = fields.get(name);
    if (value === undefined) throw new HistoryError(`there is no :${name}`);
    if (!isOfKind(value, kind)) throw new HistoryError(`:${name} is a ${kind}, and not a ${value.kind}`);
    return value;
  };
  const value = fields.get("value");
  if (value === undefined) throw new HistoryError("there is no :value");
  const process = field("process", "number").number;
  if (process < 0) throw new HistoryError(":process is not negative");
  return {
    process,
    type: field("type", "keyword").name,
    f: field("f", "keyword").name,
    key: field("key", "string").text,
    value,
  };
}

const isOfKind = <Kind extends EdnValue["kind"]>(
  value: EdnValue,
  kind: Kind,
): value is Extract<EdnValue, { kind: Kind }> => value.kind === kind;

function record(recorder: Recorder, event: Event): void {
  const { process, type, f, key, value } = event;
  if (type === "invoke") {
    recorder.invoke(process, key, callOf(event));
    return;
  }
  const open = recorder.open(process);
  if (open === undefined) throw new HistoryError(`process ${process} returns, and has nothing open`);
  if (open.key !== key || open.call.kind !== f) {
    throw new HistoryError(`process ${process} returns from :${f} on another key or call than it has open`);
  }
  const isAnswer = type === "ok" && f === "get";
  const isLeftOut = type !== "ok" && value.kind === "nil";
  if (!isAnswer && !isLeftOut && JSON.stringify(callOf(event)) !== JSON.stringify(open.call)) {
    throw new HistoryError(`process ${process} returns from :${f} with another value than it invoked it with`);
  }
  recorder.complete(process, outcomeOf(event));
}

function callOf({ f, value }: Event): Call {
  switch (f) {
    case "get":
    case "delete":
      if (value.kind === "nil") return { kind: f };
      break;
    case "put":
    case "append":
      if (value.kind === "string") return { kind: f, value: value.text };
      break;
    case "cas":
      if (value.kind === "vector" && value.items.length === 2) {
        const [from, to] = value.items;
        if (from !== undefined && to !== undefined) return { kind: f, from: storedValue(from), to: storedValue(to) };
      }
      break;
    default:
      throw new HistoryError(`:f is :get, :put, :append, :delete or :cas, and not :${f}`);
  }
  throw new HistoryError(`:${f} takes another :value`);
}

function outcomeOf({ type, f, value }: Event): Outcome {
  switch (type) {
    case "info":
      return { kind: "unknown" };
    case "fail":
      return { kind: f === "cas" && value.kind !== "nil" ? "differed" : "failed" };
    case "ok":
      return f === "get" ? { kind: "saw", value: storedValue(value) } : { kind: "ok" };
    default:
      throw new HistoryError(`:type is :invoke, :ok, :fail or :info, and not :${type}`);
  }
}

function storedValue(value: EdnValue): Value {
  if (value.kind === "nil") return null;
  if (value.kind === "string") return value.text;
  throw new HistoryError(`a value is a string or nil, and not a ${value.kind}`);
}

/** In these files the empty string is no value. */
function withoutEmpty(operation: Operation): Operation {
  const { call, outcome } = operation;
  const emptied = (value: Value): Value => (value === "" ? null : value);
  return {
    ...operation,
    call:
      call.kind === "put" && call.value === ""
        ? { kind: "delete" }
        : call.kind === "cas"
          ? { kind: "cas", from: emptied(call.from), to: emptied(call.to) }
          : call,
    outcome: outcome.kind === "saw" ? { kind: "saw", value: emptied(outcome.value) } : outcome,
  };
}

/**
 * The lines of a history, for `npm run check-history`.
 * @throws HistoryError if it cannot be said in this format: an empty string, a process that does two things at a time
 */
export function writeKeyValueLog(operations: readonly Operation[]): readonly string[] {
  const events: { readonly moment: number; readonly isReturn: boolean; readonly operation: Operation }[] = [];
  for (const operation of operations) {
    requireSayable(operation);
    events.push({ moment: operation.invoked, isReturn: false, operation });
    if (operation.returned !== null) events.push({ moment: operation.returned, isReturn: true, operation });
  }
  events.sort((a, b) => a.moment - b.moment || Number(a.isReturn) - Number(b.isReturn));
  const lines: string[] = [];
  const open = new Map<number, Operation>();
  for (const { isReturn, operation } of events) {
    const { process } = operation;
    if (isReturn) {
      open.delete(process);
    } else {
      const before = open.get(process);
      if (before !== undefined && before.returned !== null) {
        throw new HistoryError(`process ${process} invokes at ${operation.invoked} what overlaps its own last call`);
      }
      // It went on without an answer.
      if (before !== undefined) lines.push(lineOf(before, "info"));
      open.set(process, operation);
    }
    lines.push(lineOf(operation, isReturn ? returnType(operation.outcome) : "invoke"));
  }
  for (const operation of open.values()) lines.push(lineOf(operation, "info"));
  return lines;
}

function requireSayable({ call, outcome, key }: Operation): void {
  const values = [
    call.kind === "put" || call.kind === "append" ? call.value : null,
    ...(call.kind === "cas" ? [call.from, call.to] : []),
    outcome.kind === "saw" ? outcome.value : null,
  ];
  if (values.includes("")) throw new HistoryError(`an empty value of ${key} cannot be told from no value`);
}

function returnType(outcome: Outcome): string {
  switch (outcome.kind) {
    case "ok":
    case "saw":
      return "ok";
    case "differed":
    case "failed":
      return "fail";
    case "unknown":
      return "info";
  }
}

function lineOf({ process, call, key, outcome }: Operation, type: string): string {
  const saidValue = (): string => {
    switch (call.kind) {
      case "get":
        return type === "ok" && outcome.kind === "saw" ? quoted(outcome.value) : "nil";
      case "delete":
        return "nil";
      case "put":
      case "append":
        return quoted(call.value);
      case "cas":
        return type === "fail" && outcome.kind === "failed" ? "nil" : `[${quoted(call.from)} ${quoted(call.to)}]`;
    }
  };
  return `{:process ${process}, :type :${type}, :f :${call.kind}, :key ${quoted(key)}, :value ${saidValue()}}`;
}

/** JSON's escapes are EDN's. */
const quoted = (value: Value): string => (value === null ? "nil" : JSON.stringify(value));
