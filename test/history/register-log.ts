/**
 * Register logs, as Jepsen's etcd test of 2014 wrote them:
 *
 *     INFO  jepsen.util - <process> :invoke|:ok|:fail|:info :read|:write|:cas nil|N|[from to]|:timed-out
 *
 * One register, at first nil. `:fail :cas [from to]` saw that the value was not `from`; another `:fail` did not happen.
 * `:info` is of unknown outcome. A value of `:timed-out` stands for what the process had invoked.
 */
import { type Call, HistoryError, type Operation, type Outcome, type Value } from "./history.ts";
import { Recorder } from "./recorder.ts";

/** The log does not name its one register. */
const KEY = "register";

const NUMBER = "-?\\d{1,18}";
const LINE = new RegExp(
  `^INFO\\s+jepsen\\.util\\s+-\\s+(\\d{1,15})\\s+:(invoke|ok|fail|info)\\s+:(read|write|cas)\\s+` +
    `(nil|:timed-out|${NUMBER}|\\[(?:nil|${NUMBER})\\s+(?:nil|${NUMBER})\\])$`,
);

/**
 * @param lines without those that are blank, each with its number, which becomes the moment of its event
 * @throws HistoryError naming the line
 */
export function readRegisterLog(
  lines: Iterable<{ readonly number: number; readonly text: string }>,
): readonly Operation[] {
  let moment = 0;
  const recorder = new Recorder(() => moment);
  for (const { number, text } of lines) {
    moment = number;
    const [, process, type, name, value] = LINE.exec(text) ?? [];
    if (process === undefined || type === undefined || name === undefined || value === undefined) {
      throw new HistoryError(`line ${number}: this is no line of a register log: ${text.slice(0, 200)}`);
    }
    try {
      record(recorder, { process: Number(process), type, name, value });
    } catch (error) {
      throw error instanceof HistoryError ? new HistoryError(`line ${number}: ${error.message}`) : error;
    }
  }
  return recorder.operations();
}

interface Event {
  readonly process: number;
  readonly type: string;
  readonly name: string;
  readonly value: string;
}

function record(recorder: Recorder, event: Event): void {
  const { process, type, name, value } = event;
  if (type === "invoke") {
    recorder.invoke(process, KEY, callOf(event));
    return;
  }
  const open = recorder.open(process);
  if (open === undefined) throw new HistoryError(`process ${process} returns, and has nothing open`);
  if (open.call.kind !== KIND[name]) {
    throw new HistoryError(`process ${process} returns from :${name}, and what it has open is another call`);
  }
  const isAnswer = type === "ok" && name === "read";
  if (!isAnswer && value !== ":timed-out" && JSON.stringify(callOf(event)) !== JSON.stringify(open.call)) {
    throw new HistoryError(`process ${process} returns from :${name} with another value than it invoked it with`);
  }
  recorder.complete(process, outcomeOf(event));
}

const KIND: Readonly<Record<string, Call["kind"]>> = { read: "get", write: "put", cas: "cas" };

function callOf({ name, value }: Event): Call {
  if (name === "read" && value === "nil") return { kind: "get" };
  if (name === "write" && /^-?\d/.test(value)) return { kind: "put", value: String(BigInt(value)) };
  const [, from, to] = /^\[(\S+)\s+(\S+)\]$/.exec(value) ?? [];
  if (name === "cas" && from !== undefined && to !== undefined) {
    return { kind: "cas", from: storedValue(from), to: storedValue(to) };
  }
  throw new HistoryError(`:${name} takes no ${value}`);
}

function outcomeOf({ type, name, value }: Event): Outcome {
  if (type === "info") return { kind: "unknown" };
  if (type === "fail") return { kind: name === "cas" && value !== ":timed-out" ? "differed" : "failed" };
  if (name === "read") return { kind: "saw", value: storedValue(value) };
  if (value === ":timed-out") throw new HistoryError(`an :ok has a value, and not ${value}`);
  return { kind: "ok" };
}

function storedValue(text: string): Value {
  if (text === "nil") return null;
  if (!/^-?\d+$/.test(text)) throw new HistoryError(`a register holds a number or nil, and not ${text}`);
  return String(BigInt(text));
}
