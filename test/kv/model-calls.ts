/** Calls of a store in the model's words, and comparisons of what comes of them. */
import type {
  KvBatchOptions,
  KvIterator,
  KvOperation,
  KvRange,
  KvSnapshot,
  KvStore,
} from 'varve/kv';
import { expect } from 'vitest';
import {
  bytesOf,
  guardOf,
  type ModelEntry,
  type ModelRange,
  type ModelView,
  type ModelWrite,
  rangeOf,
  textOf,
} from './model.ts';

export interface HeldSnapshot {
  readonly snapshot: KvSnapshot;
  readonly view: ModelView;
  readonly compactions: number;
}

export interface HeldIterator {
  readonly iterator: KvIterator<[Uint8Array, Uint8Array]>;
  readonly range: ModelRange;
  readonly isReverse: boolean;
  readonly all: readonly ModelEntry[];
  /** What it will give, in its direction. */
  rest: readonly ModelEntry[];
}

/** The call of a store that a write stands for. `lend` makes the bytes that are given. */
export function sendWrite(
  kv: KvStore,
  write: ModelWrite,
  options: KvBatchOptions,
  lend: (text: string) => Uint8Array,
): Promise<number> {
  if (write.kind === 'ingest') {
    return kv.ingest(write.entries.map(([key, value]) => [bytesOf(key), bytesOf(value)]));
  }
  if (write.kind === 'rename') {
    const { from, to, isPrefix: prefix, overwrites: overwrite } = write;
    return kv.rename(lend(from), lend(to), { ...options, prefix, overwrite });
  }
  const { operations, guards } = write;
  const [only] = operations;
  if (operations.length === 1 && guards.length === 0 && only !== undefined) {
    switch (only.type) {
      case 'put':
        return kv.put(lend(only.key), lend(only.value), options);
      case 'delete':
        return kv.delete(lend(only.key), options);
      case 'deleteRange':
        return kv.deleteRange(deletedRangeOf(only.range), options);
    }
  }
  const given = operations.map((operation): KvOperation<Uint8Array> => {
    switch (operation.type) {
      case 'put':
        return { type: 'put', key: lend(operation.key), value: lend(operation.value) };
      case 'delete':
        return { type: 'delete', key: lend(operation.key) };
      case 'deleteRange':
        break;
    }
    return { type: 'deleteRange', ...deletedRangeOf(operation.range) };
  });
  return kv.batch(given, { ...options, guards: guards.map(guardOf) });
}

/** A range that is deleted has a bound. */
function deletedRangeOf(range: ModelRange): KvRange {
  return { gte: '', ...rangeOf(range) };
}

/** As `toEqual`, fast enough to be asked a million times. */
export function expectSame(found: unknown, wanted: unknown, asked: unknown): void {
  if (found !== wanted && !isSame(found, wanted)) {
    expect({ found, asked }).toEqual({ found: wanted, asked });
  }
}

function isSame(found: unknown, wanted: unknown): boolean {
  return typeof found === 'object' && JSON.stringify(found) === JSON.stringify(wanted);
}

export function pairOf({ key, value }: ModelEntry): [string, string] {
  return [key, value];
}

export function textsOf([key, value]: [Uint8Array, Uint8Array]): [string, string] {
  return [textOf(key), textOf(value)];
}
