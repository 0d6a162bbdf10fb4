import { OpenClawError } from "@openclaw/core/errors.ts";
import { type NodeConfig, parseConfig } from "@openclaw/edge-runtime/config.ts";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";

const PEER = "12D3KooWC7LNenyhLR2WmXS8CXE6Zzqd5eTzbh7N5oqTyJhBmnGs";
const OTHER = "12D3KooWFt5eUdJvt7qEjwru2BhzQmaCeVbZANZiSXyD7w6ngjXJ";
const KEY = "ab".repeat(32);

const YAML = `version: 1
cluster: california
node: california-1
dataDir: ./data
identity: ./identity.key
credential: /keys/credential
clusterKey: ${KEY}
epoch: { counter: 1, nonce: ${"cd".repeat(16)}, parent: null, departure: 0 }
http: { host: 127.0.0.1, port: 8101 }
listen: [/ip4/127.0.0.1/tcp/9101, /ip4/127.0.0.1/tcp/9201/ws]
members:
  - { node: california-1, peer: ${PEER}, addresses: [/ip4/127.0.0.1/tcp/9101], http: "http://127.0.0.1:8101" }
  - { node: california-2, peer: ${OTHER}, addresses: [/ip4/127.0.0.1/tcp/9102], http: "http://127.0.0.1:8102/" }
`;
const SECURE = `${YAML.replace('"http://127.0.0.1:8101"', '"https://127.0.0.1:8101"')}tls: { certificate: site.crt, key: /keys/site.key }\n`;
const FILE = "/etc/openclaw/node.yaml";

const read = (text: string): NodeConfig => parseConfig(text, FILE);
const altered = (change: (config: Record<string, never>) => void): string => {
  const config = parse(YAML);
  change(config);
  return stringify(config);
};
const failure = (text: string): OpenClawError => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof OpenClawError) return error;
    throw error;
  }
  throw new Error("it was taken");
};

describe("a configuration", () => {
  test("is read with its defaults, and paths are relative to it", () => {
    expect(read(YAML)).toMatchObject({
      cluster: "california",
      node: "california-1",
      dataDir: "/etc/openclaw/data",
      identity: "/etc/openclaw/identity.key",
      credential: "/keys/credential",
      http: { host: "127.0.0.1", port: 8101, origins: [] },
      members: [{ http: "http://127.0.0.1:8101" }, { node: "california-2", http: "http://127.0.0.1:8102" }],
      parent: null,
      page: null,
      auth: null,
      snapshots: { bytesPerSecond: 16_777_216 },
      memory: { stateCacheBytes: 8_388_608, logBytes: 16_777_216 },
      retention: { age: null, bytes: null },
      disk: { budgetBytes: null, keepUnshipped: false },
      mdns: false,
      logLevel: "info",
    });
  });

  test("may have a parent, a page and a public key", () => {
    const text = `${YAML}
parent: { cluster: hub, clusterKey: ${KEY}, addresses: [/ip4/127.0.0.1/tcp/9001/p2p/${PEER}], enrolment: abc }
page: ./page
auth: { publicKey: { kty: OKP, crv: Ed25519, x: abc } }
`;
    expect(read(text)).toMatchObject({
      tls: null,
      parent: { cluster: "hub", subscribe: { collections: [], prefixes: [], mirrors: false } },
      page: "/etc/openclaw/page",
      auth: { publicKey: { kty: "OKP" } },
    });
  });

  test("may have a certificate: then the API is https, and browsers dial wss", () => {
    const text = SECURE.replace("/tcp/9201/ws", "/tcp/9201/tls/ws");
    expect(read(text)).toMatchObject({ tls: { certificate: "/etc/openclaw/site.crt", key: "/keys/site.key" } });
  });

  test.each<[string, string, string]>([
    ["plain http beside a certificate", SECURE.replace("https:", "http:"), "members.0.http: with tls the API is https"],
    [
      "wss without a certificate",
      YAML.replace("/tcp/9201/ws", "/tcp/9201/wss"),
      "node.yaml:10: listen.1: a certificate is wanted",
    ],
    ["a missing field", YAML.replace(/^node: .*\n/m, ""), "node.yaml:1: node: a node's name"],
    [
      "an unknown field",
      YAML.replace("cluster: california", "cluster: california\ncolour: red"),
      `Unrecognized key: "colour"`,
    ],
    [
      "an unknown field inside",
      YAML.replace("port: 8101 }", "port: 8101, prot: 1 }"),
      `node.yaml:9: http: Unrecognized key: "prot"`,
    ],
    ["another version", YAML.replace("version: 1", "version: 2"), "node.yaml:1: version: this program reads version 1"],
    ["a port that is none", YAML.replace("port: 8101 }", "port: 81010 }"), "node.yaml:9: http.port: Too big"],
    [
      "a name in capitals",
      YAML.replace("cluster: california", "cluster: California"),
      "node.yaml:2: cluster: a cluster's name",
    ],
    [
      "a key of the wrong length",
      YAML.replace(`clusterKey: ${KEY}`, "clusterKey: abc"),
      "node.yaml:7: clusterKey: 64 lower-case hex",
    ],
    [
      "an address that is none",
      YAML.replace("/ip4/127.0.0.1/tcp/9201/ws", "127.0.0.1:9201"),
      "node.yaml:10: listen.1: a multiaddr",
    ],
    [
      "a node that is no member",
      YAML.replace("node: california-1\n", "node: california-9\n"),
      "node.yaml:12: members: california-9 is not among them",
    ],
    ["a member named twice", YAML.replace("node: california-2", "node: california-1"), "members.1.node: named twice"],
    ["one peer for two members", YAML.replace(OTHER, PEER), "node.yaml:13: members.1.peer: named twice"],
    [
      "its own parent",
      altered((c) =>
        Object.assign(c, {
          parent: {
            cluster: "california",
            clusterKey: KEY,
            addresses: [`/ip4/1.2.3.4/tcp/1/p2p/${PEER}`],
            enrolment: "abc",
          },
        }),
      ),
      "parent.cluster: a cluster is not its own parent",
    ],
    [
      "a parent without its peer",
      altered((c) =>
        Object.assign(c, { parent: { cluster: "hub", clusterKey: KEY, addresses: ["/ip4/1.2.3.4/tcp/1"] } }),
      ),
      "parent.addresses.0: an address that ends in /p2p/",
    ],
    [
      "an origin with a path",
      YAML.replace("port: 8101 }", 'port: 8101, origins: ["http://x/y"] }'),
      "http.origins.0: a URL without a path",
    ],
    [
      "a disk budget below what a node needs that holds nothing",
      altered((c) => Object.assign(c, { disk: { budgetBytes: 75_497_471 } })),
      "disk.budgetBytes: a node that holds nothing needs 75497472 bytes",
    ],
    ["no YAML", "version: [1", "node.yaml:1: no YAML"],
    ["a key twice", `${YAML}version: 1\n`, "node.yaml:14: no YAML: Map keys must be unique"],
    ["nothing", "", "node.yaml:1: Invalid input"],
    ["a list", "- 1", "node.yaml:1: Invalid input"],
  ])("with %s is CONFIG_INVALID, and says where", (_, text, words) => {
    const { code, message } = failure(text);
    expect(code).toBe("CONFIG_INVALID");
    expect(message).toContain(words);
  });

  test("everything that is wrong is told at once", () => {
    const text = YAML.replace("version: 1", "version: 3").replace("port: 8101 }", "port: -1 }");
    expect(failure(text).message).toMatch(/version: .*; .*http\.port: /);
  });

  test("X1: a file of aliases upon aliases is refused", () => {
    const text = `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n`;
    expect(failure(text).code).toBe("CONFIG_INVALID");
  });
});

describe("X2: without tokens, loopback only", () => {
  test.each([
    ["every address", YAML.replace("host: 127.0.0.1", "host: 0.0.0.0"), "http.host: 0.0.0.0"],
    ["a name", YAML.replace("host: 127.0.0.1", "host: gateway.shop"), "http.host"],
    [
      "a libp2p address",
      YAML.replace("[/ip4/127.0.0.1/tcp/9101,", "[/ip4/10.0.0.5/tcp/9101,"),
      "listen: /ip4/10.0.0.5",
    ],
    ["a loopback look-alike", YAML.replace("host: 127.0.0.1", "host: 127.0.0.1.evil.example"), "http.host"],
  ])("%s is INSECURE_BIND", (_, text, words) => {
    const { code, message } = failure(text);
    expect(code).toBe("INSECURE_BIND");
    expect(message).toContain(words);
  });

  test("with a key any address may be bound; ::1 and localhost need none", () => {
    const open = YAML.replace("host: 127.0.0.1", "host: 0.0.0.0");
    expect(read(`${open}auth: { publicKey: { kty: OKP, crv: Ed25519, x: abc } }\n`).http.host).toBe("0.0.0.0");
    expect(read(YAML.replace("host: 127.0.0.1", 'host: "::1"')).http.host).toBe("::1");
    expect(
      read(YAML.replace("host: 127.0.0.1", "host: localhost").replace("/ip4/127.0.0.1/tcp/9101,", "/ip6/::1/tcp/9101,"))
        .listen[0],
    ).toBe("/ip6/::1/tcp/9101");
  });
});
