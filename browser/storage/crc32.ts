/** CRC-32 (ISO 3309, as in zlib and PNG), which no browser offers. */
import type { Crc32 } from "@openclaw/core/segment-log/log-disk.ts";

/** Reversed, as bits come in with the lowest first. */
const POLYNOMIAL = 0xed_b8_83_20;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

export const crc32: Crc32 = (bytes, before) => {
  let crc = ~before;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
};
