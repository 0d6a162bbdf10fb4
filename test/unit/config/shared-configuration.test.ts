import { sharedFields, sharedText } from "@openclaw/edge-runtime/shared-configuration.ts";
import { expect, test } from "vitest";

test("S2: a new node gets the limits of the link to the parent with the parent, and nothing that it does not know", () => {
  const uplink = { bytesPerSecond: 8_000, bytesPerDay: 5_000_000 };
  const text = sharedText({ auth: null, parent: null, uplink });
  expect(sharedFields(text)).toEqual({ auth: null, parent: null, uplink });
  expect(sharedFields(JSON.stringify({ uplink, dataDir: "/elsewhere" }))).toEqual({ uplink });
});
