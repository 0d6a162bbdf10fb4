/** What waits on this device as a file, and back: from the page of one gateway to that of another (`docs/outbox.md`). */
import type { Client } from "@openclaw/browser";

export interface OutboxPlaces {
  readonly save: HTMLButtonElement;
  readonly take: HTMLInputElement;
}

const FILE = "what-waits.openclaw";

/** @param tell shows what went wrong */
export function bindOutboxFile(client: Client, { save, take }: OutboxPlaces, tell: (error: unknown) => void): void {
  save.addEventListener("click", () => {
    client.outbox.export().then(download).catch(tell);
  });
  take.addEventListener("change", () => {
    const [file] = take.files ?? [];
    const taking = file?.arrayBuffer().then((bytes) => client.outbox.import(new Uint8Array(bytes)));
    taking?.catch(tell).finally(() => {
      take.value = "";
    });
  });
}

function download(bytes: Uint8Array): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([new Uint8Array(bytes)]));
  link.download = FILE;
  link.click();
  URL.revokeObjectURL(link.href);
}
