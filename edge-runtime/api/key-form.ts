/** Keys in a JSON body: base64, a range is etcd's pair of a key and a range end. */
import { z } from "zod";

export const bytesForm = z.base64().transform((text) => new Uint8Array(Buffer.from(text, "base64")));

export const keysForm = {
  key: bytesForm.describe("Base64"),
  rangeEnd: bytesForm
    .default(new Uint8Array())
    .describe(
      "Base64; absent: the one key; else the keys from key to before this; AA== (a zero byte): all from key on",
    ),
};
