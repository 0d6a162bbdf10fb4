/**
 * Boxes of one local network on one machine: network namespaces, each with a virtual cable to one bridge. Needs root and
 * `ip`; `namespacesRefusal` says why where that is not given.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";

export interface NetworkBox {
  /** Of its namespace, unique on this machine. */
  readonly name: string;
  readonly address: string;
  /** The command that runs another one in this box: put it in front. */
  readonly inside: readonly string[];
}

const ip = (...args: readonly string[]): string => execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });

/** Null where namespaces can be made; else why not. */
export function namespacesRefusal(): string | null {
  const probe = `oc-${randomBytes(3).toString("hex")}`;
  try {
    ip("netns", "add", probe);
    ip("netns", "delete", probe);
    return null;
  } catch (error) {
    return `network namespaces need root and iproute2: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class BridgedBoxes {
  readonly boxes: readonly NetworkBox[];
  readonly #bridge: string;

  private constructor(bridge: string, boxes: readonly NetworkBox[]) {
    this.#bridge = bridge;
    this.boxes = boxes;
  }

  /** `count` boxes at 10.77.0.1, .2, …; the bridge is in a namespace of its own, so that this machine is not on it. */
  static make(count: number): BridgedBoxes {
    const id = randomBytes(3).toString("hex");
    const boxes = Array.from({ length: count }, (_, at): NetworkBox => {
      const name = `oc-${id}-${at + 1}`;
      return { name, address: `10.77.0.${at + 1}`, inside: ["ip", "netns", "exec", name] };
    });
    const made = new BridgedBoxes(`oc-${id}-0`, boxes);
    try {
      made.#lay();
    } catch (error) {
      made.remove();
      throw error;
    }
    return made;
  }

  #lay(): void {
    const bridge = this.#bridge;
    ip("netns", "add", bridge);
    // Without snooping multicast goes to every port, as on a switch that does not manage it.
    ip("-n", bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0");
    ip("-n", bridge, "link", "set", "br0", "up");
    for (const [at, { name, address }] of this.boxes.entries()) {
      ip("netns", "add", name);
      ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", `port${at}`, "netns", bridge);
      ip("-n", bridge, "link", "set", `port${at}`, "master", "br0", "up");
      ip("-n", name, "address", "add", `${address}/24`, "dev", "eth0");
      for (const link of ["lo", "eth0"]) ip("-n", name, "link", "set", link, "up");
      ip("-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0");
    }
  }

  /** Cuts a box's cable, or puts it back. */
  plug(box: NetworkBox, plugged: boolean): void {
    ip("-n", this.#bridge, "link", "set", `port${this.boxes.indexOf(box)}`, plugged ? "up" : "down");
  }

  /** Also after a failure half-way. The cables go with their namespaces; end the processes in them before. */
  remove(): void {
    for (const name of [...this.boxes.map((box) => box.name), this.#bridge]) {
      try {
        ip("netns", "delete", name);
      } catch {
        // It was never made.
      }
    }
  }
}
