/** Structured logs on standard output; never a secret in them. */
import { type Logger, pino } from "pino";

const SECRETS = [
  "token",
  "authorization",
  "access_token",
  "privateKey",
  "clusterKey",
  "credential",
  "password",
  "secret",
];
/** As a field, and one and two levels below. */
const PATHS = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

export interface LogOptions {
  readonly level: "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";
  readonly cluster: string;
  readonly node: string;
}

export function createLog({ level, cluster, node }: LogOptions, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: { cluster, node },
    redact: { paths: PATHS, censor: "[redacted]" },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
