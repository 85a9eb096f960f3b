/** Operations on keys that are read as paths. */
import { commonPrefixSize, compareKeys } from '../../base/compare-bytes.ts';
import { VarveError } from '../../base/errors.ts';
import { startsWith, successorOfPrefix } from '../../radix/path.ts';
import { BatchBody } from './batch-body.ts';
import type { KvEntry } from './contract.ts';
import { type EntryBounds, type EntryIterator, successorOf } from '../tree/entry-iterator.ts';
import { BATCH_SIZE_MAX, OPERATION_HEADER_SIZE, OperationKind } from './format.ts';
import { NO_BYTES } from '../entries/cursor.ts';
import { copyOf, KEY_SIZE_MAX, type ValueCodec } from './kv-bytes.ts';

/**
 * The entry with the longest key that `path` begins with. Looks at the greatest key that isn't greater than the path; if that is no
 * prefix of it, no longer one than what both have in common can be, and so on: each look shortens the path.
 */
export function longestPrefixOf<Value>(
  path: Uint8Array,
  codec: ValueCodec<Value>,
  openBackward: (bounds: EntryBounds) => EntryIterator,
): KvEntry<Value> | undefined {
  const entries = openBackward({ start: NO_BYTES, end: successorOf(path) });
  try {
    let size = path.length;
    for (let isFound = entries.next(); isFound; isFound = entries.next()) {
      const { keyBytes, keyStart, keyEnd } = entries;
      const common = commonPrefixSize(keyBytes, keyStart, keyEnd, path, 0, size);
      if (common === keyEnd - keyStart) {
        return {
          key: copyOf(keyBytes, keyStart, keyEnd),
          value: codec.decode(entries.valueBytes, entries.valueStart, entries.valueEnd),
          version: entries.sequence,
        };
      }
      size = common;
      entries.seek(path.subarray(0, size));
    }
    return undefined;
  } finally {
    entries.close();
  }
}

export interface RenameWork {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly isPrefix: boolean;
  readonly mayOverwrite: boolean;
}

/** What renaming does, as operations of one batch: first every old name goes, then every new one comes. */
export function renameOperations(
  open: (bounds: EntryBounds) => EntryIterator,
  work: RenameWork,
): BatchBody {
  const { from, to, isPrefix } = work;
  const end = isPrefix ? successorOfPrefix(from) : successorOf(from);
  const moves: Move[] = [];
  let size = 0;
  const entries = open({ start: from, end });
  try {
    while (entries.next()) {
      const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = entries;
      const key = copyOf(keyBytes, keyStart, keyEnd);
      const value = copyOf(valueBytes, valueStart, valueEnd);
      const renamed = new Uint8Array(to.length + key.length - from.length);
      renamed.set(to);
      renamed.set(key.subarray(from.length), to.length);
      size += 2 * OPERATION_HEADER_SIZE + key.length + renamed.length + value.length;
      checkSize(size, renamed);
      moves.push({ key, renamed, value });
    }
  } finally {
    entries.close();
  }
  if (!work.mayOverwrite) {
    checkTargets(open, work, moves);
  }
  const body = new BatchBody(size);
  for (const { key } of moves) {
    body.add(OperationKind.delete, key, NO_BYTES);
  }
  for (const { renamed, value } of moves) {
    body.add(OperationKind.put, renamed, value);
  }
  return body;
}

/** An entry and its new name. */
interface Move {
  readonly key: Uint8Array;
  readonly renamed: Uint8Array;
  readonly value: Uint8Array;
}

function checkSize(size: number, renamed: Uint8Array): void {
  if (size > BATCH_SIZE_MAX) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `Renaming so many keys takes more than the ${BATCH_SIZE_MAX} bytes of a batch: rename fewer at a time.`,
      { applied: 'no' },
    );
  }
  if (renamed.length > KEY_SIZE_MAX) {
    throw new VarveError('LIMIT_EXCEEDED', `A key has ${KEY_SIZE_MAX} bytes at most.`, {
      applied: 'no',
    });
  }
}

/** A new name may be there already only if it is renamed as well. */
function checkTargets(
  open: (bounds: EntryBounds) => EntryIterator,
  { from, isPrefix }: RenameWork,
  moves: readonly Move[],
): void {
  for (const { renamed: key } of moves) {
    const isSource = isPrefix ? startsWith(key, from) : compareKeys(key, from) === 0;
    if (isSource) {
      continue;
    }
    const entries = open({ start: key, end: successorOf(key) });
    try {
      if (entries.next()) {
        throw new VarveError(
          'CONDITION_FAILED',
          `There is an entry ${JSON.stringify(Buffer.from(key).toString('utf8'))} already: delete it first, or overwrite it.`,
          { applied: 'no' },
        );
      }
    } finally {
      entries.close();
    }
  }
}
