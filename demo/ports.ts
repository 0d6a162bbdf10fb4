/** TCP ports of this machine's loopback. */
import net from "node:net";

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
  const server = await hold(0);
  if (server === undefined) throw new Error("no port is free on 127.0.0.1");
  return server;
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listening server has a port");
  return address.port;
}
