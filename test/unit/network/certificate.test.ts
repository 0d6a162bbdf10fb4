/** The certificate for browsers: read at start, and again when it was renewed, by the API and by the WebSocket listener. */
import { X509Certificate } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createSecureContext } from "node:tls";
import { fileURLToPath } from "node:url";
import type { Clock } from "@openclaw/core/ports.ts";
import { createApiServer, renewCertificate } from "@openclaw/edge-runtime/api/listen.ts";
import { Certificate, type CertificateFiles, isFor } from "@openclaw/edge-runtime/certificate.ts";
import { createHost } from "@openclaw/edge-runtime/network/host.ts";
import { createIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { fastify } from "fastify";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";

const DATA = fileURLToPath(new URL("../../data/certificates/", import.meta.url));
/** Between two looks at the files, ms. */
const LOOK_MS = 60_000;

let folder: string;
let files: CertificateFiles;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-certificate-"));
  files = { certificate: join(folder, "site.crt"), key: join(folder, "site.key") };
  await install("gateway");
  return () => rm(folder, { recursive: true, force: true });
});

async function install(name: "gateway" | "renewed"): Promise<void> {
  await copyFile(`${DATA}${name}.crt`, files.certificate);
  await copyFile(`${DATA}${name}.key`, files.key);
}

const printOf = async (name: "gateway" | "renewed"): Promise<string> =>
  new X509Certificate(await readFile(`${DATA}${name}.crt`)).fingerprint256;

async function follow() {
  const virtual = new VirtualClock();
  let looks = 0;
  const after: Clock["after"] = (ms, callback) => {
    looks++;
    return virtual.after(ms, callback);
  };
  const clock: Clock = { now: () => virtual.now(), wall: () => virtual.wall(), after };
  const told: string[] = [];
  const tell = (context: unknown, text: string): void => void told.push(`${text} ${JSON.stringify(context)}`);
  const certificate = await Certificate.open(files, clock, { info: tell, warn: tell });
  if (certificate === null) throw new Error("files are given");
  onTestFinished(() => certificate.stop());
  const renewed: string[] = [];
  certificate.follow(({ cert }) => renewed.push(new X509Certificate(cert).fingerprint256));
  /** Resolves when the files have been looked at, and the next look is due. */
  const look = async (): Promise<void> => {
    const before = looks;
    virtual.step(virtual.now() + LOOK_MS);
    await expect.poll(() => looks).toBe(before + 1);
  };
  return { certificate, told, renewed, look };
}

/** What whoever connects there is shown. */
function shownAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    // Nothing trusts it: that is not what is looked at.
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "none");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

test("a renewed certificate is taken up, once", async () => {
  const { renewed, look, certificate } = await follow();
  await look();
  expect(renewed).toEqual([]);
  await install("renewed");
  await look();
  await look();
  expect(renewed).toEqual([await printOf("renewed")]);
  expect(certificate.expires.getFullYear()).toBeGreaterThan(2_100);
});

test("a half-written pair is no pair: the one before stays, which is told once, and the whole one is taken up", async () => {
  const { renewed, told, look } = await follow();
  await copyFile(`${DATA}renewed.crt`, files.certificate);
  await look();
  await look();
  expect(renewed).toEqual([]);
  expect(told).toHaveLength(1);
  expect(told[0]).toContain("is not the key of");
  await install("renewed");
  await look();
  expect(renewed).toHaveLength(1);
});

test("a chain of which only a part is written is no pair either: nothing is given to a listener that it would refuse", async () => {
  const { certificate, renewed, told, look } = await follow();
  const chain = `${await readFile(`${DATA}renewed.crt`, "utf8")}${await readFile(`${DATA}gateway.crt`, "utf8")}`;
  await copyFile(`${DATA}renewed.key`, files.key);
  await writeFile(files.certificate, chain.slice(0, -100));
  await look();
  expect([renewed, told.length]).toEqual([[], 1]);
  expect(() => createSecureContext({ ...certificate.pem })).not.toThrow();
  await writeFile(files.certificate, chain);
  await look();
  expect(renewed).toEqual([await printOf("renewed")]);
});

test("files that are missing, or hold no certificate, are refused at start, and no error quotes a key", async () => {
  const open = () => Certificate.open(files, new VirtualClock(), { info: () => {}, warn: () => {} });
  const secret = (await readFile(files.key, "utf8")).split("\n")[1] ?? "";
  await writeFile(files.certificate, secret);
  await expect(open()).rejects.toMatchObject({ code: "CONFIG_INVALID", details: expect.stringContaining("not PEM") });
  await expect(open()).rejects.not.toThrow(secret);
  await rm(files.key);
  await expect(open()).rejects.toMatchObject({ code: "CONFIG_INVALID", details: expect.stringContaining("ENOENT") });
});

test("the API and the WebSocket listener show the renewed one to whoever comes from then on", async () => {
  const { certificate } = await follow();
  const { pem } = certificate;
  const app = fastify({ serverFactory: (handler) => createApiServer(pem, handler) });
  await app.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => app.close());
  const identity = await createIdentity(join(folder, "identity.key"));
  const listen = ["/ip4/127.0.0.1/tcp/0/tls/ws"];
  const host = await createHost({ identity, listen, topics: [], certificate: pem });
  onTestFinished(() => host.stop());
  const [address] = host.getMultiaddrs().map(String);
  const own = app.server.address();
  const ports = [
    typeof own === "object" ? own?.port : undefined,
    Number(/\/tcp\/(\d+)\/tls\/ws/.exec(address ?? "")?.[1]),
  ].map(Number);
  const shown = () => Promise.all(ports.map(shownAt));
  expect(await shown()).toEqual(ports.map(() => new X509Certificate(pem.cert).fingerprint256));
  await install("renewed");
  const renewed = { cert: await readFile(files.certificate, "utf8"), key: await readFile(files.key, "utf8") };
  renewCertificate(app, renewed);
  host.services.certificate.renew(renewed);
  const print = await printOf("renewed");
  expect(await shown()).toEqual([print, print]);
});

/** Of the common name gateway.example, and without alternative names. */
const OF_A_COMMON_NAME = `-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgIUc1j+kPDCcEjmG5DP1DJL3FhpuAwwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPZ2F0ZXdheS5leGFtcGxlMCAXDTI2MTEyOTE0MzgxMFoYDzIx
MjYxMTA1MTQzODEwWjAaMRgwFgYDVQQDDA9nYXRld2F5LmV4YW1wbGUwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAARcZKjBOz6qOP4veyJZOW53a1aIe79WKjvaYusZ
tcDqqEqaiMwFNPJmjjFdUWHky25zCEvYJW/a89jVB3nYOIOco1MwUTAdBgNVHQ4E
FgQUUQUw9MCXpJ2P7R/wq9JrdbNFV8QwHwYDVR0jBBgwFoAUUQUw9MCXpJ2P7R/w
q9JrdbNFV8QwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAxk3hP
u/GdBNHiv+9/befzRz3+pddPUVKWymiAPFxG/gIhAIoypXK0LhWC1R5GupGyu9R9
t0zYf9uSg/6ED9/DvIE6
-----END CERTIFICATE-----`;

test("a certificate is for its alternative names: browsers do not look at its common name", async () => {
  const cert = await readFile(`${DATA}gateway.crt`, "utf8");
  expect(["localhost", "127.0.0.1", "::1", "10.0.0.1", "gateway.example"].map((host) => isFor({ cert }, host))).toEqual(
    [true, true, false, false, false],
  );
  expect(isFor({ cert: OF_A_COMMON_NAME }, "gateway.example")).toBe(false);
});
