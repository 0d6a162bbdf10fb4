/** What the network needs of a log; pino's logger is one. */
export interface NetworkLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}
