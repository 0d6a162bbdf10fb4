/** `openclaw node start`: one node in this process, until a signal or its own failure ends it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { loadConfig } from "../config.ts";
import { type NodeOptions, startNode } from "../node.ts";

/** Ms for stopping in good order; then the process ends anyway. The Raft log is durable at every moment. */
const STOP_MS_MAX = 8_000;
/** Ms for handing leadership over before a planned stop. */
const HAND_OVER_MS = 1_500;

/** Resolves when the node has stopped because it was asked to. @throws OpenClawError why it could not start or go on */
export async function runNode(configFile: string, options: NodeOptions = {}): Promise<void> {
  const config = await loadConfig(configFile);
  // Listened to from now on: a signal while the node still starts must not be lost.
  const asked = Promise.withResolvers<null>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => asked.resolve(null));
  const node = await startNode(config, options);
  process.stdout.write(`${config.node} of ${config.cluster} listens at ${node.http}\n`);
  const failure = await Promise.race([asked.promise, node.failed]);
  const late = setTimeout(() => process.exit(failure === null ? 0 : 1), STOP_MS_MAX);
  late.unref();
  if (failure === null) await node.replica.handOver(HAND_OVER_MS);
  await node.stop();
  if (failure !== null)
    throw failure instanceof OpenClawError
      ? failure
      : new OpenClawError("INTERNAL", failure.message, { cause: failure });
}
