import { parseSite } from "@openclaw/browser/connection/gateways.ts";
import { expect, test } from "vitest";

test("the addresses that a browser can dial are put together by gateway", () => {
  const answer = {
    cluster: "california",
    gateways: [
      "/ip4/127.0.0.1/tcp/9201/ws/p2p/12D3KooWA",
      "/dns4/edge.example/tcp/443/tls/ws/p2p/12D3KooWB",
      "/ip4/127.0.0.1/tcp/9101/p2p/12D3KooWA",
      "/dns4/edge-1.example/tcp/443/wss/p2p/12D3KooWA",
      "/ip4/127.0.0.1/tcp/9202/ws",
    ],
    http: [],
  };
  expect(parseSite(JSON.stringify(answer))).toEqual({
    cluster: "california",
    gateways: [
      { peer: "12D3KooWA", addresses: [answer.gateways[0], answer.gateways[3]] },
      { peer: "12D3KooWB", addresses: [answer.gateways[1]] },
    ],
  });
});

test.each(["", "[]", "{}", `{"cluster":"../x","gateways":[]}`, `{"cluster":"a","gateways":"b"}`])(
  "X1: %j is no list of gateways",
  (text) => {
    expect(() => parseSite(text)).toThrow(expect.objectContaining({ code: "MALFORMED_FRAME" }));
  },
);
