/**
 * Where second copies are: numbered files of the origin's private file system, one folder a database. Whoever has one open has it
 * alone, and lets go of it when its worker ends, however it ends. No file is ever deleted, and few are made: the browser keeps
 * their names in a database of its own, which a kill may tear, too.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { CopyFile, type SyncFile } from "./copy-file.ts";
import { copyFolder } from "./copy-folder.ts";

/** Tabs of one device and one more for each that is writing its copy anew, with room; beyond, a page has none. */
const SLOTS_MAX = 64;

export interface CopySlots {
  /** Those that no page has, open from now on. */
  free(): Promise<readonly CopyFile[]>;
  /** One that nobody has and that holds nothing. @throws OpenClawError OVERLOADED */
  empty(): Promise<CopyFile>;
}

export class OriginSlots implements CopySlots {
  readonly #folder: FileSystemDirectoryHandle;

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** @throws DOMException SecurityError, …: this browser gives no files here */
  static async open(database: string): Promise<OriginSlots> {
    return new OriginSlots(await copyFolder(database, true));
  }

  async free(): Promise<readonly CopyFile[]> {
    const found: CopyFile[] = [];
    for (let slot = 0; slot < SLOTS_MAX; slot++) {
      const handle = await this.#folder.getFileHandle(String(slot)).catch(ifNamed("NotFoundError"));
      if (handle === null) break;
      const file = await opened(handle);
      if (file !== null) found.push(file);
    }
    return found;
  }

  async empty(): Promise<CopyFile> {
    for (let slot = 0; slot < SLOTS_MAX; slot++) {
      const file = await opened(await this.#folder.getFileHandle(String(slot), { create: true }));
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

/** Null while another page has it. */
async function opened(handle: FileSystemFileHandle): Promise<CopyFile | null> {
  if (!isWorkers(handle)) throw new OpenClawError("BROWSER_TOO_OLD", "without files that are written at once");
  const file = await handle.createSyncAccessHandle().catch(ifNamed("NoModificationAllowedError"));
  return file && new CopyFile(file);
}

function ifNamed(name: string): (error: unknown) => null {
  return (error) => {
    if (error instanceof DOMException && error.name === name) return null;
    throw error;
  };
}
