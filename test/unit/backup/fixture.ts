/** A serving node, and backups of it into temporary folders. */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { utf8 } from "@openclaw/core/bytes.ts";
import { isLeaseId, type LeaseId } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { type Backed, type BackupPlan, backUp } from "@openclaw/edge-runtime/backup/backup.ts";
import { BackupSource } from "@openclaw/edge-runtime/backup/source.ts";
import { ApiClient } from "@openclaw/edge-runtime/cli/client.ts";
import { onTestFinished } from "vitest";
import { startTestNode, type TestNode, type TestNodeOptions } from "../api/node.ts";

export interface Serving {
  readonly node: TestNode;
  readonly source: BackupSource;
  run(command: UserCommand): Promise<void>;
}

export async function serving(options: TestNodeOptions = {}): Promise<Serving> {
  const node = await startTestNode(options);
  onTestFinished(() => node.stop());
  const source = new BackupSource(new ApiClient([await node.listen()], null));
  const run = async (command: UserCommand): Promise<void> => {
    const outcome = await node.replica.execute(command, { principal: "test", timeoutMs: 5_000 });
    if (!outcome.ok) throw new Error(outcome.code);
  };
  return { node, source, run };
}

export async function folder(): Promise<string> {
  const made = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-backup-"));
  onTestFinished(() => fs.rm(made, { recursive: true, force: true }));
  return path.join(made, "backup");
}

/** The source, but for what is given. */
export const but = (source: BackupSource, own: Partial<BackupSource>): BackupSource =>
  new Proxy(source, {
    get: (target, name) => {
      const value: unknown = Reflect.get(Object.hasOwn(own, name) ? own : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

export const back = (source: BackupSource, into: string, plan: Partial<BackupPlan> = {}): Promise<Backed> =>
  backUp({
    folder: into,
    source,
    hash: true,
    follow: false,
    signal: new AbortController().signal,
    progress: () => {},
    warn: () => {},
    ...plan,
  });

export const leaseId = (number: number): LeaseId => {
  if (!isLeaseId(number)) throw new Error("a lease");
  return number;
};

export const held = (key: string, value: string, lease: number | null): UserCommand => ({
  kind: "txn",
  compares: [],
  success: [
    { kind: "put", key: utf8(key), value: utf8(value), lease: lease === null ? null : leaseId(lease), previous: false },
  ],
  failure: [],
});
