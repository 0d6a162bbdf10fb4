/** Who may do what. Asked at every request, push and event, not only at connect (pitfall 50). */

export interface Principal {
  /** Goes into every record this principal causes. */
  readonly name: string;
  mayReadKey(key: Uint8Array): boolean;
  /** True if every key with this prefix may be read. */
  mayReadPrefix(prefix: Uint8Array): boolean;
  mayWriteKey(key: Uint8Array): boolean;
  /** True if every key with this prefix may be written. */
  mayWritePrefix(prefix: Uint8Array): boolean;
  mayReadDocument(collection: string, document: string): boolean;
  mayReadCollection(collection: string): boolean;
  mayWriteDocument(collection: string, document: string): boolean;
  /** Ms since 1970 after which it is nobody; null for never. */
  readonly expires: number | null;
}

export interface Authority {
  /** @throws OpenClawError UNAUTHENTICATED */
  authenticate(token: string | null): Promise<Principal>;
}
