/** How events are written on a stream, as its reader asked by `Accept`. */

export interface ServerEvent {
  readonly event: string;
  /** Where to resume after this event; absent where it is no place to resume. */
  readonly id?: string;
  readonly data: object;
}

export interface StreamFormat {
  readonly mediaType: string;
  readonly written: (event: ServerEvent) => string;
  /** What says that the stream is alive, and nothing else. */
  readonly idle: string;
}

/** Server-sent events (HTML standard §9.2). Data is one line of JSON: a line break inside would end the field. */
export const SERVER_SENT: StreamFormat = {
  mediaType: "text/event-stream",
  written: ({ event, id, data }) =>
    `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`,
  idle: ": still here\n\n",
};

/** A JSON object a line, with what a server-sent event has beside its data; lines that are empty say nothing. */
export const JSON_LINES: StreamFormat = {
  mediaType: "application/x-ndjson",
  written: ({ event, id, data }) =>
    `${JSON.stringify({ kind: event, ...(id === undefined ? {} : { id }), ...data })}\n`,
  idle: "\n",
};

export const formatFor = (accept: string | undefined): StreamFormat =>
  accept?.includes(JSON_LINES.mediaType) === true ? JSON_LINES : SERVER_SENT;
