/** Reads a file that holds a history, in either of the formats, which its lines tell apart. */
import fs from "node:fs";
import { HistoryError, type Operation } from "./history.ts";
import { readKeyValueLog } from "./key-value-log.ts";
import { readRegisterLog } from "./register-log.ts";

/** A longer text would not fit into one string. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

/** @throws HistoryError naming the file, and the line if there is one */
export function readHistoryFile(file: string): readonly Operation[] {
  try {
    const { size } = fs.statSync(file);
    if (size > FILE_BYTES_MAX) throw new HistoryError(`${size} bytes are more than ${FILE_BYTES_MAX}`);
    return readHistory(fs.readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof HistoryError) throw new HistoryError(`${file}: ${error.message}`);
    if (error instanceof Error && "code" in error) throw new HistoryError(`${file}: ${error.message}`);
    throw error;
  }
}

/** @throws HistoryError naming the line */
export function readHistory(text: string): readonly Operation[] {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line, i) => ({ number: i + 1, text: line.trim() }))
    .filter((line) => line.text !== "");
  const [first] = lines;
  if (first === undefined) return [];
  if (first.text.startsWith("{")) return readKeyValueLog(lines);
  if (first.text.startsWith("INFO")) return readRegisterLog(lines);
  throw new HistoryError(
    `line ${first.number}: neither a register log (INFO  jepsen.util - …) nor a key-value history ({:process …)`,
  );
}
