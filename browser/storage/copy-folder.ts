/** Where the second copies of a database are. Small: it is looked for before the first document opens. */

/** @throws DOMException NotFoundError: nothing was ever copied; SecurityError, …: this browser gives no files here */
export async function copyFolder(database: string, create: boolean): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(`openclaw-${encodeURIComponent(database)}`, { create });
}

/** False as well where this browser gives no files. */
export const isCopied = (database: string): Promise<boolean> =>
  copyFolder(database, false).then(
    () => true,
    () => false,
  );
