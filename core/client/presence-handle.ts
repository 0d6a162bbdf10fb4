/** What an app holds of a topic: its own value there, and others' as its schema gives them. */
import { OpenClawError } from "../errors.ts";
import type { LinkId } from "../ids.ts";
import { PRESENCE_VALUE_BYTES_MAX } from "../limits.ts";
import type { Present } from "../presence/presence.ts";
import { callListener } from "./listener.ts";
import type { OpenTopic } from "./presence-topic.ts";
import type { StandardSchema } from "./standard-schema.ts";
import { decodedValue, encodedValue, jsonCodec } from "./typed.ts";

/** Somebody else. */
export interface Other<T> {
  /** Of that page: each page load has its own. */
  readonly link: LinkId;
  /** Whom the gateway took its token for. What a value says of its author, anybody may say. */
  readonly principal: string;
  readonly value: T;
}

export interface PresenceHandle<Input, Output> {
  /**
   * What others see of this page from now on; null: it leaves. Said at most twenty times a second, the newest wins.
   * @throws OpenClawError VALUE_INVALID; BAD_REQUEST above 1,024 bytes; STOPPED after `close`
   */
  set(value: Input | null): void;
  /** Everybody else who is here; the same array until one changed, and the same object for one who did not. */
  others(): readonly Other<Output>[];
  /** Why the site does not let this page be seen, or see others: FORBIDDEN, OVERLOADED. Null where it does. */
  refusal(): OpenClawError | null;
  /** Calls back when `others` or `refusal` changed; the returned function ends it. */
  subscribe(listener: () => void): () => void;
  /** Ends this handle; with the last one of a topic, this page leaves it. */
  close(): void;
}

export class TypedPresence<Input, Output> implements PresenceHandle<Input, Output> {
  readonly #topic: OpenTopic;
  readonly #schema: StandardSchema<Input, Output>;
  readonly #endings = new Set<() => void>();
  /** What the schema made of each; null for what is none. */
  readonly #known = new WeakMap<Present, Other<Output> | null>();
  #of: readonly Present[] = [];
  #others: readonly Other<Output>[] = [];
  #isClosed = false;

  constructor(topic: OpenTopic, schema: StandardSchema<Input, Output>) {
    this.#topic = topic;
    this.#schema = schema;
    topic.hold();
  }

  set(value: Input | null): void {
    if (this.#isClosed) throw new OpenClawError("STOPPED", "the handle of presence is closed");
    if (value === null) return this.#topic.set(null);
    const bytes = encodedValue(value, this.#schema, jsonCodec);
    if (bytes.length > PRESENCE_VALUE_BYTES_MAX)
      throw new OpenClawError("BAD_REQUEST", `${bytes.length} bytes of presence; at most ${PRESENCE_VALUE_BYTES_MAX}`);
    this.#topic.set(bytes);
  }

  others(): readonly Other<Output>[] {
    const { present } = this.#topic;
    if (present === this.#of) return this.#others;
    this.#of = present;
    const others = present.flatMap((one) => this.#other(one) ?? []);
    const isSame = others.length === this.#others.length && others.every((one, i) => one === this.#others[i]);
    if (!isSame) this.#others = others;
    return this.#others;
  }

  refusal(): OpenClawError | null {
    return this.#topic.refusal;
  }

  subscribe(listener: () => void): () => void {
    const end = this.#topic.subscribe(() => callListener(listener));
    const ending = (): void => {
      this.#endings.delete(ending);
      end();
    };
    this.#endings.add(ending);
    return ending;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const end of [...this.#endings]) end();
    this.#topic.release();
  }

  #other(present: Present): Other<Output> | null {
    const known = this.#known.get(present);
    if (known !== undefined) return known;
    const { link, principal, value } = present;
    const typed = value === null ? null : decodedValue(value, this.#schema, jsonCodec);
    const other = typed?.ok === true ? { link, principal, value: typed.value } : null;
    this.#known.set(present, other);
    return other;
  }
}
