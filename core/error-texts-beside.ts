/**
 * The texts of errors in a browser, in the place of error-texts.ts (`imports` in package.json): no document waits for them.
 * Until they are loaded, and in a worker, whose errors cross by their codes, an error says its code in words.
 */
import type { ErrorCode } from "./error-codes.ts";

let texts: Readonly<Record<ErrorCode, string>> | null = null;

/** Of the errors made from then on. What failed is tried again at the next call. */
export async function loadErrorTexts(): Promise<void> {
  texts ??= (await import("./error-texts.ts")).ERROR_TEXTS;
}

export const textOf = (code: ErrorCode): string => texts?.[code] ?? code.toLowerCase().replaceAll("_", " ");
