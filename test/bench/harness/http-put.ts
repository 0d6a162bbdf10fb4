/** Puts over HTTP/1.1 with connections kept alive, one for each caller. */
import http from "node:http";

export class HttpPut {
  readonly #agent: http.Agent;
  readonly #base: URL;

  constructor(base: string, callers: number) {
    this.#base = new URL(base);
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: callers });
  }

  put(key: string, value: Uint8Array): Promise<void> {
    const { hostname, port } = this.#base;
    const headers = { "content-type": "application/octet-stream", "content-length": value.length };
    return new Promise((resolve, reject) => {
      const request = http.request(
        { agent: this.#agent, hostname, port, method: "PUT", path: `/v1/kv/${key}`, headers },
        (response) => {
          response.resume();
          response.once("end", () => {
            if (response.statusCode === 200) resolve();
            else reject(new Error(`a put was answered with status ${response.statusCode}`));
          });
          response.once("error", reject);
        },
      );
      request.once("error", reject);
      request.end(value);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
