/** Small texts that are on the disk when they are kept, as those in Local Storage are some seconds later. */

/** Null where there is none, or this browser gives no files. */
export const kept = async (name: string): Promise<string | null> => {
  try {
    return await (await (await handleOf(name)).getFile()).text();
  } catch {
    return null;
  }
};

/** Best effort: Safari before 26 writes no files from a page. */
export async function keep(name: string, text: string): Promise<void> {
  try {
    const file = await (await handleOf(name, { create: true })).createWritable();
    await file.write(text);
    await file.close();
  } catch {
    // As where there are no files: it is in Local Storage.
  }
}

const handleOf = async (name: string, options?: FileSystemGetFileOptions): Promise<FileSystemFileHandle> =>
  (await navigator.storage.getDirectory()).getFileHandle(encodeURIComponent(name), options);
