/** Faults of disks: slow, full, and set back to an old copy. */
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { anyOf } from "../choice.ts";
import type { Member } from "../cluster.ts";
import { command } from "../command.ts";
import type { SmallDisk } from "../small-disk.ts";
import { type Fault, leaderOf, type Stage } from "./fault.ts";

/** What a worn SD card takes for a flush, µs. */
const FLUSH_US = 250_000;
/** What a node may write more before its files may not grow any further, bytes. */
const GROWTH = 64 * 1024;

/** Every flush takes long, by strace; a stopped or dead node's tracer ends by itself. */
export const slowDisk: Fault = {
  name: "slow-disk",
  lane: "nodes",
  async inflict(stage) {
    const member = await leaderOrAny(stage);
    const pid = member.process.pid;
    if (pid === null) return;
    stage.report(`the disk of ${member.name} is slow (${FLUSH_US / 1_000} ms a flush)`);
    const inject = `inject=fsync,fdatasync:delay_enter=${FLUSH_US}`;
    const args = ["-f", "-qqq", "-p", String(pid), "-o", os.devNull, "-e", "trace=fsync,fdatasync", "-e", inject];
    const tracer = spawn("strace", args, { stdio: "ignore" });
    const ended = new Promise<void>((resolve) => {
      tracer.once("error", () => resolve());
      tracer.once("exit", () => resolve());
    });
    await Promise.race([stage.hold(), ended]);
    // It detaches and ends.
    tracer.kill("SIGINT");
    await ended;
    await stage.ready(member);
  },
};

/** The disk is full to the last byte, and has room again later. */
export const fullDisk = (disk: SmallDisk): Fault => ({
  name: "full-disk",
  lane: "nodes",
  async inflict(stage) {
    stage.report(`the disk of ${disk.owner.name} is full`);
    try {
      await disk.fill();
      await stage.hold();
    } finally {
      await disk.free();
    }
    await stage.ready(disk.owner);
  },
});

/** Files may grow no further (RLIMIT_FSIZE): writes fail as on a full disk, at a node with any disk. */
export const fileLimit: Fault = {
  name: "file-limit",
  lane: "nodes",
  async inflict(stage) {
    const member = await leaderOrAny(stage);
    const pid = member.process.pid;
    if (pid === null) return;
    const { size } = await fs.stat(member.process.logFile);
    stage.report(`the files of ${member.name} may not grow`);
    // Its log is a file of its own and shall go on: it says what the node made of it.
    await command("prlimit", "--pid", String(pid), `--fsize=${size + GROWTH}:unlimited`);
    await stage.hold();
    // It may have died of it, and its successor has no limit.
    if (member.process.pid === pid) await command("prlimit", "--pid", String(pid), "--fsize=unlimited:unlimited");
    await stage.ready(member);
  },
};

/**
 * A node's disk is set back to an old copy: what it acknowledged since, and how it voted, is forgotten. Raft bears that of
 * no node whose word the others still count on, so R5 must see it before it counts again: all others are well meanwhile.
 */
export const oldDisk: Fault = {
  name: "old-disk",
  lane: "alone",
  async inflict(stage) {
    const member = anyOf(stage.random, stage.cluster.members);
    const copy = `${member.dataFolder}.old`;
    stage.report(`copying the disk of ${member.name}`);
    await member.process.stop();
    await replaceContent(member.dataFolder, copy);
    member.process.start();
    await stage.ready(member);
    await stage.hold();
    stage.report(`setting ${member.name} back to the old copy of its disk`);
    await member.process.kill();
    await replaceContent(copy, member.dataFolder);
    member.process.start();
    await stage.ready(member);
    await fs.rm(copy, { recursive: true });
  },
};

/** The folder itself stays: it may be where something is mounted. */
async function replaceContent(source: string, target: string): Promise<void> {
  await fs.mkdir(target, { recursive: true });
  for (const name of await fs.readdir(target)) await fs.rm(path.join(target, name), { recursive: true });
  await fs.cp(source, target, { recursive: true });
}

async function leaderOrAny(stage: Stage): Promise<Member> {
  return stage.random.unit() < 0.5 ? await leaderOf(stage) : anyOf(stage.random, stage.cluster.members);
}
