import type { KvIterateOptions, KvStore } from '../kv/store/contract.ts';
import type { KvUnderTest } from './kv-conformance.ts';

/** Makes the body of a test of work on a store of its own. */
export type KvTest = (work: (store: KvUnderTest) => Promise<void>) => () => Promise<void>;

export function bytes(given: string): Uint8Array {
  return new Uint8Array(Buffer.from(given));
}

export function text(given: Uint8Array | undefined): string | undefined {
  return given === undefined ? undefined : Buffer.from(given).toString();
}

export function keysOf(kv: KvStore, options: KvIterateOptions = {}): (string | undefined)[] {
  return Array.from(kv.iterateSync({ ...options, keysOnly: true }), text);
}
