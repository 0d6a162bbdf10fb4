/**
 * Where second copies are: numbered files of the origin's private file system, one folder a database. Whoever has one open has it
 * alone, and lets go of it when its worker ends, however it ends. No file is ever deleted, and few are made: the browser keeps
 * their names in a database of its own, which a kill may tear, too.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { copyLock } from "../tabs/tab-names.ts";
import { CopyFile, type SyncFile } from "./copy-file.ts";
import { copyFolder } from "./copy-folder.ts";

/** Tabs of one device, and one more for each that is writing its copy anew, with room; beyond, a page has none. */
const SLOTS_MAX = 64;
/** A page that looks for what was lost is waited for so long, ms: it may be frozen. */
const TURN_MS_MAX = 3_000;

export interface CopySlots {
  /** One page at a time, as far as the others can wait, looks for what was lost: the next finds what it took up. */
  inTurn<T>(run: () => Promise<T>): Promise<T>;
  /** Those that no page has and that hold something, open from now on. One that cannot be opened is left out. */
  free(): Promise<readonly CopyFile[]>;
  /** One that nobody has and that holds nothing. @throws OpenClawError OVERLOADED */
  empty(): Promise<CopyFile>;
}

export class OriginSlots implements CopySlots {
  readonly #database: string;
  readonly #folder: FileSystemDirectoryHandle;

  private constructor(database: string, folder: FileSystemDirectoryHandle) {
    this.#database = database;
    this.#folder = folder;
  }

  /** @throws DOMException SecurityError, …: this browser gives no files here */
  static async open(database: string): Promise<OriginSlots> {
    return new OriginSlots(database, await copyFolder(database, true));
  }

  async inTurn<T>(run: () => Promise<T>): Promise<T> {
    let began = false;
    const signal = AbortSignal.timeout(TURN_MS_MAX);
    const turn = (): Promise<T> => {
      began = true;
      return run();
    };
    try {
      return await navigator.locks.request(copyLock(this.#database), { signal }, turn);
    } catch (error) {
      if (began) throw error;
      return run();
    }
  }

  async free(): Promise<readonly CopyFile[]> {
    const found: CopyFile[] = [];
    for await (const handle of this.#folder.values()) {
      if (handle.kind !== "file") continue;
      // Another page's, or one that this browser cannot open now.
      const file = await opened(handle).catch(() => null);
      if (file === null) continue;
      if (file.isEmpty) file.close();
      else found.push(file);
    }
    return found;
  }

  async empty(): Promise<CopyFile> {
    for (let slot = 0; slot < SLOTS_MAX; slot++) {
      const file = await opened(await this.#folder.getFileHandle(String(slot), { create: true })).catch(ifTaken);
      if (file?.isEmpty) return file;
      file?.close();
    }
    throw new OpenClawError("OVERLOADED", `${SLOTS_MAX} files are in use`);
  }
}

/** Of workers only, which the DOM's types leave out. */
interface WorkerFileHandle {
  createSyncAccessHandle(): Promise<SyncFile>;
}

const isWorkers = (handle: object): handle is WorkerFileHandle => "createSyncAccessHandle" in handle;

async function opened(handle: FileSystemHandle): Promise<CopyFile> {
  if (!isWorkers(handle)) throw new OpenClawError("BROWSER_TOO_OLD", "without files that are written at once");
  return new CopyFile(await handle.createSyncAccessHandle());
}

function ifTaken(error: unknown): null {
  if (error instanceof DOMException && error.name === "NoModificationAllowedError") return null;
  throw error;
}
