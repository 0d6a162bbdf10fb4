/** Serves a folder as a gateway does, and can be stopped dead. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

export interface StaticServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param answers JSON by path, before the folder's files */
export async function serveFolder(
  folder: string,
  answers: Readonly<Record<string, unknown>> = {},
): Promise<StaticServer> {
  const server = createServer((request, response) => serve(folder, answers, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function serve(
  folder: string,
  answers: Readonly<Record<string, unknown>>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
  if (Object.hasOwn(answers, path)) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answers[path]));
    return;
  }
  const file = join(folder, path === "/" ? "index.html" : path);
  if (!existsSync(file) || !statSync(file).isFile()) {
    response.statusCode = 404;
    response.end();
    return;
  }
  response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  createReadStream(file).pipe(response);
}
