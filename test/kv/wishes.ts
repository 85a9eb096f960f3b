/**
 * What can be asked of a key-value store, and what the store must hold then: computed from the record of the calls alone. Calls
 * take effect in their order, one sequence for each operation.
 */
import {
  type KvBatchOptions,
  type KvOptions,
  type KvSnapshot,
  type KvStore,
  VarveError,
} from 'varve/kv';
import { expect } from 'vitest';

export const KV_STORE = '/home/store';

/** So small that a hundred writes are flushed and merged several times. */
export const tinyOptions: KvOptions = {
  memtableBytes: 4_096,
  blockBytes: 128,
  tableBytes: 1_024,
  levelZeroTables: 2,
  levelBaseBytes: 4_096,
  levelMultiplier: 2,
  blockCacheBytes: 8_192,
  maxOpenFiles: 5,
  maxPendingBytes: 256 * 1024,
  maxBatchBytes: 64 * 1024,
  background: 'inline',
};

/** Opened with these, a store of a test has nothing to flush or to merge by itself. */
export const calmOptions: KvOptions = {
  blockBytes: 128,
  tableBytes: 1_024,
  memtableBytes: 512 * 1024,
  blockCacheBytes: 8_192,
  maxPendingBytes: 16 * 1024,
  maxBatchBytes: 16 * 1024,
  levelZeroTables: 100,
  levelBaseBytes: 1024 * 1024 * 1024,
  levelMultiplier: 100,
  background: 'inline',
};

export interface Put {
  readonly type: 'put';
  readonly key: string;
  readonly value: string;
}

export type Operation =
  | Put
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'deleteRange'; readonly gte: string; readonly lt?: string };

/** Something that was asked for. */
export type Wish =
  | {
      readonly kind: 'batch';
      readonly operations: readonly Operation[];
      readonly guard?: { readonly key: string; readonly version: number };
    }
  | {
      readonly kind: 'rename';
      readonly from: string;
      readonly to: string;
      readonly isPrefix: boolean;
    }
  | { readonly kind: 'ingest'; readonly entries: readonly Put[] };

export interface Entry {
  readonly value: string;
  readonly version: number;
}

/** What a store holds, in no order. */
export type Content = ReadonlyMap<string, Entry>;

export interface Attempt {
  /** Order of the calls. */
  readonly number: number;
  readonly wish: Wish;
  readonly ack: 'durable' | 'written';
  /** Moment when the caller knew of the result. */
  answeredAt?: number;
  /** What the call resolved to. */
  result?: number;
  error?: VarveError;
}

/** Does to `content` what the wish says; returns the sequence of its last operation. */
export function applyWish(content: Map<string, Entry>, wish: Wish, lastSequence: number): number {
  switch (wish.kind) {
    case 'batch':
      return applyBatch(content, wish.operations, wish.guard, lastSequence);
    case 'rename':
      return applyRename(content, wish, lastSequence);
    case 'ingest':
      break;
  }
  for (const { key, value } of wish.entries) {
    content.set(key, { value, version: lastSequence + 1 });
  }
  return lastSequence + 1;
}

function applyBatch(
  content: Map<string, Entry>,
  operations: readonly Operation[],
  guard: { readonly key: string; readonly version: number } | undefined,
  lastSequence: number,
): number {
  if (guard !== undefined && (content.get(guard.key)?.version ?? 0) !== guard.version) {
    return lastSequence;
  }
  let version = lastSequence;
  for (const operation of operations) {
    if (operation.type === 'deleteRange') {
      if (operation.lt !== undefined && operation.lt <= operation.gte) {
        continue;
      }
      deleteRange(content, operation.gte, operation.lt);
    } else if (operation.type === 'put') {
      content.set(operation.key, { value: operation.value, version: version + 1 });
    } else {
      content.delete(operation.key);
    }
    version += 1;
  }
  return version;
}

function deleteRange(content: Map<string, Entry>, gte: string, lt: string | undefined): void {
  for (const key of content.keys()) {
    if (key >= gte && (lt === undefined || key < lt)) {
      content.delete(key);
    }
  }
}

function applyRename(
  content: Map<string, Entry>,
  { from, to, isPrefix }: Extract<Wish, { kind: 'rename' }>,
  lastSequence: number,
): number {
  const renamed = [...content].filter(([key]) => (isPrefix ? key.startsWith(from) : key === from));
  renamed.sort(([left], [right]) => (left < right ? -1 : 1));
  for (const [key] of renamed) {
    content.delete(key);
  }
  let version = lastSequence + renamed.length;
  for (const [key, { value }] of renamed) {
    version += 1;
    content.set(to + key.slice(from.length), { value, version });
  }
  return version;
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

export function textOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Makes calls and writes down what became of them. */
export class KvRecorder {
  readonly attempts: Attempt[] = [];
  /** Grows with everything that happens: what is answered at a moment was known at every later one. */
  moment = 0;

  begin(wish: Wish, ack: 'durable' | 'written' = 'durable'): Attempt {
    const attempt: Attempt = { number: this.attempts.length, wish, ack };
    this.attempts.push(attempt);
    return attempt;
  }

  /** Adds an ingest that has ended, where its version belongs. */
  ingested(entries: readonly Put[], version: number): void {
    const content = new Map<string, Entry>();
    let last = 0;
    let place = 0;
    for (const [index, { wish }] of this.attempts.entries()) {
      last = applyWish(content, wish, last);
      // Behind those that changed nothing: they were asked for before.
      place = last < version ? index + 1 : place;
    }
    const attempt: Attempt = {
      number: this.attempts.length,
      wish: { kind: 'ingest', entries },
      ack: 'durable',
      answeredAt: this.moment,
      result: version,
    };
    this.attempts.splice(place, 0, attempt);
  }

  /** Never rejects. The call itself is made before this returns. */
  async send(
    store: KvStore,
    wish: Exclude<Wish, { kind: 'ingest' }>,
    ack: 'durable' | 'written' = 'durable',
  ): Promise<Attempt> {
    const attempt = this.begin(wish, ack);
    return this.settle(attempt, callOf(store, wish, ack));
  }

  async settle(attempt: Attempt, call: Promise<number>): Promise<Attempt> {
    try {
      attempt.result = await call;
    } catch (error) {
      if (!(error instanceof VarveError)) {
        throw error;
      }
      attempt.error = error;
    }
    attempt.answeredAt = this.moment;
    return attempt;
  }
}

function callOf(
  store: KvStore,
  wish: Exclude<Wish, { kind: 'ingest' }>,
  ack: 'durable' | 'written',
): Promise<number> {
  if (wish.kind === 'rename') {
    return store.rename(wish.from, wish.to, { prefix: wish.isPrefix, overwrite: true, ack });
  }
  const { operations, guard } = wish;
  const [first] = operations;
  if (guard === undefined && operations.length === 1 && first !== undefined) {
    switch (first.type) {
      case 'put':
        return store.put(first.key, bytesOf(first.value), { ack });
      case 'delete':
        return store.delete(first.key, { ack });
      case 'deleteRange':
        break;
    }
  }
  const guards = guard === undefined ? [] : [{ key: guard.key, version: guard.version }];
  const options: KvBatchOptions = { ack, guards };
  const given = operations.map((operation) =>
    operation.type === 'put' ? { ...operation, value: bytesOf(operation.value) } : operation,
  );
  return store.batch(given, options);
}

/** Keys and values in the order of their keys. */
export function valuesOf(content: Content): [string, string][] {
  return sortedKeys(content).map((key) => [key, content.get(key)!.value]);
}

function sortedKeys(content: Content): string[] {
  return [...content.keys()].toSorted((left, right) => (left < right ? -1 : 1));
}

/** Says in one line what differs: `expect` on thousands of entries takes longer than reading them. */
export function contentProblem(
  store: KvStore,
  content: Content,
  snapshot?: KvSnapshot,
): string | undefined {
  const options = snapshot === undefined ? {} : { snapshot };
  const keys = sortedKeys(content);
  const found: string[] = [];
  for (const [keyBytes, valueBytes] of store.iterateSync(options)) {
    const key = textOfBytes(keyBytes);
    const value = textOfBytes(valueBytes);
    const wanted = content.get(key);
    if (wanted?.value !== value) {
      return `${JSON.stringify(key)}: iterated ${shown(value)}, wanted ${shown(wanted?.value)}`;
    }
    found.push(key);
  }
  if (found.length !== keys.length || found.some((key, index) => key !== keys[index])) {
    return `iterated keys ${JSON.stringify(found)}, wanted ${JSON.stringify(keys)}`;
  }
  for (const key of keys) {
    const entry = store.getEntrySync(bytesOf(key), options);
    const wanted = content.get(key)!;
    if (entry?.version !== wanted.version || textOfBytes(entry.value) !== wanted.value) {
      const what = entry === undefined ? 'nothing' : `version ${entry.version}`;
      return `${JSON.stringify(key)}: got ${what}, wanted version ${wanted.version}`;
    }
  }
  return undefined;
}

function shown(value: string | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value.slice(0, 20));
}

export function expectContent(store: KvStore, content: Content, snapshot?: KvSnapshot): void {
  expect(contentProblem(store, content, snapshot)).toBeUndefined();
}

/** Tells when a promise is settled, and takes care of its rejection until somebody awaits it. */
export class Settling {
  isOver = false;

  constructor(promise: Promise<unknown>) {
    const settle = (): void => {
      this.isOver = true;
    };
    promise.then(settle, settle);
  }
}
