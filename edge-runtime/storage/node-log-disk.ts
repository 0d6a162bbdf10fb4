/** The folder of a log on Node's file system. Used inside the log's worker only. */
import * as fs from "node:fs";
import { join } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { LogDisk, LogDiskFile } from "@openclaw/core/segment-log/log-disk.ts";
import { fsyncPath } from "./files.ts";
import { storageError } from "./sqlite.ts";

/** Zeros are written in pieces of this. */
const ZEROS_BYTES = 1_048_576;

/** Every method @throws OpenClawError STORAGE_FAILED, STORAGE_FULL */
export class NodeLogDisk implements LogDisk {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  names(): readonly string[] {
    return told("listing the log's folder", () => fs.readdirSync(this.#folder));
  }

  open(name: string): LogDiskFile {
    return told(`opening ${name}`, () => {
      const fd = fs.openSync(join(this.#folder, name), fs.constants.O_RDWR);
      return new NodeLogFile(name, fd, fs.fstatSync(fd).size);
    });
  }

  create(name: string, bytes: number): LogDiskFile {
    return told(`allocating ${name}`, () => {
      const { O_RDWR, O_CREAT, O_TRUNC } = fs.constants;
      const file = new NodeLogFile(
        name,
        fs.openSync(join(this.#folder, name), O_RDWR | O_CREAT | O_TRUNC, 0o600),
        bytes,
      );
      try {
        const zeros = new Uint8Array(Math.min(bytes, ZEROS_BYTES));
        for (let at = 0; at < bytes; at += zeros.length) file.write(at, zeros.subarray(0, bytes - at));
        return file;
      } catch (error) {
        file.close();
        // What was allocated of it may be all that a full disk has left.
        this.remove(name);
        throw error;
      }
    });
  }

  rename(from: string, to: string): void {
    told(`renaming ${from}`, () => fs.renameSync(join(this.#folder, from), join(this.#folder, to)));
  }

  remove(name: string): void {
    told(`removing ${name}`, () => fs.rmSync(join(this.#folder, name)));
  }

  syncFolder(): void {
    told("syncing the log's folder", () => fsyncPath(this.#folder));
  }
}

class NodeLogFile implements LogDiskFile {
  readonly bytes: number;
  readonly #name: string;
  readonly #fd: number;

  constructor(name: string, fd: number, bytes: number) {
    this.#name = name;
    this.#fd = fd;
    this.bytes = bytes;
  }

  read(at: number, length: number): Uint8Array<ArrayBuffer> {
    return told(`reading ${this.#name}`, () => {
      const bytes = new Uint8Array(length);
      const got = fs.readSync(this.#fd, bytes, 0, length, at);
      if (got !== length) throw new OpenClawError("DATA_CORRUPT", `${this.#name} is shorter than it was made`);
      return bytes;
    });
  }

  write(at: number, bytes: Uint8Array): void {
    told(`writing ${this.#name}`, () => {
      const written = fs.writeSync(this.#fd, bytes, 0, bytes.length, at);
      // A disk that takes a part takes nothing next: the error that says why has not come yet.
      if (written !== bytes.length) throw new OpenClawError("STORAGE_FULL", `${this.#name} was written in part`);
    });
  }

  sync(): void {
    told(`syncing ${this.#name}`, () => fs.fdatasyncSync(this.#fd));
  }

  close(): void {
    told(`closing ${this.#name}`, () => fs.closeSync(this.#fd));
  }
}

function told<T>(doing: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw storageError(error, doing);
  }
}
