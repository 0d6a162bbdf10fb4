/** TCP ports of this machine's loopback. */
import { randomInt } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";

/**
 * Where we look. Below the range from which systems give ports to outgoing connections (Linux: from 32,768, macOS: from
 * 49,152): a port that is free now and in that range may be somebody's outgoing connection before we listen.
 */
const RANGE = { from: 10_000, to: 32_000 };
/** Tries for one port; far more than a machine with thousands of listeners needs. */
const TRIES_MAX = 200;

/**
 * Ports that this process gave to somebody, each with the UDP socket of the same number that says so to other processes. A node
 * that is given a port listens later, or is down for a while: until then only this tells that the port is spoken for. Nothing of
 * ours speaks UDP, and the system lets go of it when the process ends, however it ends.
 */
const claims = new Map<number, dgram.Socket>();

/** The wanted port if it is free, else any other free one. Each is this process's to give until it ends: no other call draws it. */
export async function freePorts(wanted: readonly (number | null)[]): Promise<readonly number[]> {
  const held: net.Server[] = [];
  try {
    for (const port of wanted) held.push((port === null ? undefined : await holdOwn(port)) ?? (await holdAny()));
    return held.map(portOf);
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** One that was given before may be wanted again. Undefined if somebody has it. */
async function holdOwn(port: number): Promise<net.Server | undefined> {
  return claims.has(port) || (await claim(port)) ? hold(port) : undefined;
}

/** False if somebody has claimed it, this process included. */
async function claim(port: number): Promise<boolean> {
  if (claims.has(port)) return false;
  const socket = dgram.createSocket("udp4");
  try {
    socket.bind({ port, address: "127.0.0.1", exclusive: true });
    await once(socket, "listening");
  } catch {
    // EADDRINUSE, mostly: whatever it is, this port is not ours to give.
    socket.close();
    return false;
  }
  socket.unref();
  claims.set(port, socket);
  return true;
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
    const port = randomInt(RANGE.from, RANGE.to);
    const server = (await claim(port)) ? await hold(port) : undefined;
    if (server !== undefined) return server;
  }
  throw new Error(`no free port found between ${RANGE.from} and ${RANGE.to} on 127.0.0.1`);
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listening server has a port");
  return address.port;
}
