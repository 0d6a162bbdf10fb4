/** What becomes of a disk that loses what was synced: a sector of the log holds other bytes, or is read from elsewhere. */
import type { Random } from "@openclaw/core/ports.ts";
import { KEPT, type PowerCutDisk } from "../contracts/power-cut-disk.ts";

export interface Damage {
  /** Of the log, this share is behind the place. */
  readonly share: number;
  /** The disk is whole, and is read once at the wrong place. */
  readonly read: boolean;
  readonly random: Random;
}

const SECTOR_BYTES = 512;

interface Sector {
  readonly name: string;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** False if the log holds nothing yet. */
export function damage(disk: PowerCutDisk, { share, read, random }: Damage): boolean {
  const used = sectorsOf(disk);
  const hit = used[Math.min(used.length - 1, Math.floor((1 - share) * used.length))];
  if (hit === undefined) return false;
  const { name, at } = hit;
  if (read) disk.misreadNext(name, at, elsewhere(used, hit, random));
  else disk.spoil(name, at, random.bytes(SECTOR_BYTES));
  return true;
}

/** Of the log's segments, oldest first: those up to where something was written. */
function sectorsOf(disk: PowerCutDisk): readonly Sector[] {
  const segments = [...disk.image(KEPT)].filter(([name]) => name.endsWith(".segment"));
  return segments
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, bytes]) => {
      const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
      return Array.from({ length: Math.ceil(used / SECTOR_BYTES) }, (_, i) => {
        const at = i * SECTOR_BYTES;
        return { name, at, bytes: bytes.slice(at, at + SECTOR_BYTES) };
      });
    });
}

/** What another sector holds. In a log of one there is only the unwritten rest to be read instead. */
function elsewhere(used: readonly Sector[], hit: Sector, random: Random): Uint8Array {
  const others = used.filter((sector) => sector !== hit);
  return others[Math.floor(random.unit() * others.length)]?.bytes ?? new Uint8Array(SECTOR_BYTES);
}
