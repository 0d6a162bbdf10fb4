// The few globals that every runtime we target has and that are pure: text coding. Core is compiled with neither DOM
// nor Node types, so that anything else (a clock, a random source, a socket) is a compile error.
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array): string;
}
