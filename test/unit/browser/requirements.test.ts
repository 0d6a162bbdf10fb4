import { assertSurroundings, type Surroundings } from "@openclaw/browser/requirements.ts";
import { expect, test } from "vitest";

const all: Surroundings = { isSecureContext: true, locks: {}, indexedDB: {}, Worker: {}, BroadcastChannel: {} };

test("D7: a page that is not safe beside another tab is refused, and told what it needs", () => {
  expect(() => assertSurroundings(all)).not.toThrow();
  // Chromium hides the locks there.
  expect(() => assertSurroundings({ ...all, isSecureContext: false, locks: undefined })).toThrow(
    expect.objectContaining({
      code: "INSECURE_CONTEXT",
      details: "open it over https, or on localhost",
    }),
  );
  expect(() => assertSurroundings({ ...all, locks: undefined, BroadcastChannel: undefined })).toThrow(
    expect.objectContaining({ code: "BROWSER_TOO_OLD", details: "without locks, BroadcastChannel; use a newer one" }),
  );
});
