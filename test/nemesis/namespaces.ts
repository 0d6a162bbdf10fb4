/**
 * A network namespace a node, joined by a bridge on which we, the clients, have an address as well. Faults are rules at
 * the receiver (iptables) and at the sender (tc), so each direction of each link is a thing of its own. The clients' own
 * links are left alone: a client that still reaches a cut-off leader is the interesting one.
 */
import { command } from "./command.ts";

const SUBNET = "10.77.0";
const CLIENTS = `${SUBNET}.254`;
const BRIDGE = "nemesis";
/** A link that is narrow: queues build up, and overflow. */
const NARROW = { rate: "400kbit", burst: "16kb", latency: "800ms" } as const;
/** Faults of several lanes change tables at the same time, and iptables has one lock for the machine. */
const LOCK_SECONDS = "10";

export interface Namespaces {
  /** Our own address, where the clients are. */
  readonly clients: string;
  host(node: number): string;
  /** A command that becomes another one in that node's namespace. */
  within(node: number): readonly string[];
  /** None yet. Faults that hold at the same time have rules of their own, and take back no others'. */
  rules(): Rules;
}

export interface Rules {
  /** Drops what `from` sends to `to`: all of it, or a part between 0 and 1. */
  drop(from: number, to: number, part: number): Promise<void>;
  /**
   * Connections from one node to another's port lead to ours instead. Those that are there already break: also when it is
   * taken back, because then ours is closed.
   */
  divert(from: number, to: number, port: number, ours: number): Promise<void>;
  narrow(node: number): Promise<void>;
  /** Takes all of these away. */
  heal(): Promise<void>;
}

/** Inside of namespaces of our own. */
export async function layOutNamespaces(nodes: number): Promise<Namespaces> {
  const inside = (node: number, ...args: string[]): Promise<string> =>
    command("ip", "netns", "exec", nameOf(node), ...args);
  // Names of namespaces are files: keep them from the machine's own.
  await command("mkdir", "-p", "/run/netns");
  await command("mount", "-t", "tmpfs", "tmpfs", "/run/netns");
  await command("ip", "link", "set", "lo", "up");
  await command("ip", "link", "add", BRIDGE, "type", "bridge");
  await command("ip", "address", "add", `${CLIENTS}/24`, "dev", BRIDGE);
  await command("ip", "link", "set", BRIDGE, "up");
  const all = Array.from({ length: nodes }, (_, node) => node);
  for (const node of all) {
    const name = nameOf(node);
    await command("ip", "netns", "add", name);
    await command("ip", "link", "add", `${name}-out`, "type", "veth", "peer", "name", "eth0", "netns", name);
    await command("ip", "link", "set", `${name}-out`, "master", BRIDGE, "up");
    await inside(node, "ip", "link", "set", "lo", "up");
    await inside(node, "ip", "address", "add", `${hostOf(node)}/24`, "dev", "eth0");
    await inside(node, "ip", "link", "set", "eth0", "up");
  }
  return {
    clients: CLIENTS,
    host: hostOf,
    within: (node) => ["nsenter", `--net=/run/netns/${nameOf(node)}`, "--"],
    rules: () => new NodeRules(inside),
  };
}

type Inside = (node: number, ...args: string[]) => Promise<string>;

class NodeRules implements Rules {
  readonly #inside: Inside;
  /** What takes each away. */
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor(inside: Inside) {
    this.#inside = inside;
  }

  async drop(from: number, to: number, part: number): Promise<void> {
    const some = part < 1 ? ["-m", "statistic", "--mode", "random", "--probability", String(part)] : [];
    await this.#filter(to, "INPUT", ["-s", hostOf(from), ...some, "-j", "DROP"]);
  }

  async divert(from: number, to: number, port: number, ours: number): Promise<void> {
    const there = ["-p", "tcp", "-d", hostOf(to)];
    const target = ["-j", "DNAT", "--to", `${CLIENTS}:${ours}`];
    await this.#filter(from, "OUTPUT", [...there, "--dport", `${port}`, ...target], ["-t", "nat"]);
    // What was diverted is not for that address any more, so this is about what goes there directly.
    await this.#filter(from, "OUTPUT", [...there, "-j", "REJECT", "--reject-with", "tcp-reset"]);
  }

  async narrow(node: number): Promise<void> {
    const shape = ["rate", NARROW.rate, "burst", NARROW.burst, "latency", NARROW.latency];
    await this.#inside(node, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", ...shape);
    this.#undo.push(() => this.#inside(node, "tc", "qdisc", "delete", "dev", "eth0", "root"));
  }

  async heal(): Promise<void> {
    for (const undo of this.#undo.splice(0)) await undo();
  }

  async #filter(node: number, chain: string, rule: readonly string[], table: readonly string[] = []): Promise<void> {
    const change = (how: string): Promise<string> =>
      this.#inside(node, "iptables", "-w", LOCK_SECONDS, ...table, how, chain, ...rule);
    await change("-A");
    this.#undo.push(() => change("-D"));
  }
}

const nameOf = (node: number): string => `n${node + 1}`;
const hostOf = (node: number): string => `${SUBNET}.${node + 1}`;
