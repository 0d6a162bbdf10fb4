/** TCP ports of this machine's loopback. */
import { randomInt } from "node:crypto";
import net from "node:net";

/**
 * Where we look. Below the range from which systems give ports to outgoing connections (Linux: from 32,768, macOS: from
 * 49,152): a port that is free now and in that range may be somebody's outgoing connection before we listen.
 */
const RANGE = { from: 10_000, to: 32_000 };
/** Tries for one port; far more than a machine with thousands of listeners needs. */
const TRIES_MAX = 200;

/** The wanted port if it is free, else any other free one. All are held until all are found, so that they differ. */
export async function freePorts(wanted: readonly (number | null)[]): Promise<readonly number[]> {
  const held: net.Server[] = [];
  try {
    for (const port of wanted) held.push((port === null ? undefined : await hold(port)) ?? (await holdAny()));
    return held.map(portOf);
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** Undefined if somebody has it. */
function hold(port: number): Promise<net.Server | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

async function holdAny(): Promise<net.Server> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const server = await hold(randomInt(RANGE.from, RANGE.to));
    if (server !== undefined) return server;
  }
  throw new Error(`no free port found between ${RANGE.from} and ${RANGE.to} on 127.0.0.1`);
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listening server has a port");
  return address.port;
}
