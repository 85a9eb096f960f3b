/** Listings as object stores give them: what begins alike up to a delimiter is one line. */
import { compareKeys } from '../../base/compare-bytes.ts';
import { checkRange, rejectUnknownNames } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import { endOfComponent, startsWith, successorOfPrefix } from '../../radix/path.ts';
import type { KvListEntry, KvListOptions } from './contract.ts';
import { type EntryBounds, type EntryIterator, successorOf } from '../tree/entry-iterator.ts';
import { copyOf, keyBytesOf, ownCopyOf, type ValueCodec } from './kv-bytes.ts';
import type { OpenIterators } from '../tree/open-iterators.ts';
import { SyncIterator } from './kv-iterator.ts';

const listNames: ReadonlySet<string> = new Set(['delimiter', 'after', 'limit', 'snapshot']);

/** One seek for each line, however many keys are behind it. */
export function listEntries<Value>(
  prefix: Uint8Array,
  options: KvListOptions,
  codec: ValueCodec<Value>,
  iterators: OpenIterators,
  open: (bounds: EntryBounds) => EntryIterator,
): IterableIterator<KvListEntry<Value>> {
  rejectUnknownNames(options, listNames, 'option');
  const { limit = Infinity } = options;
  if (limit !== Infinity) {
    checkRange('limit', limit, 0, Number.MAX_SAFE_INTEGER);
  }
  const delimiter =
    options.delimiter === undefined ? undefined : ownCopyOf(keyBytesOf(options.delimiter));
  if (delimiter?.length === 0) {
    throw new VarveError('INVALID_ARGUMENT', 'A delimiter has at least one byte.');
  }
  const start = startOf(prefix, delimiter, options);
  const end = successorOfPrefix(prefix);
  const isEmpty =
    start === undefined || limit === 0 || (end !== undefined && compareKeys(start, end) >= 0);
  const entries = isEmpty ? undefined : open({ start, end });
  const itemOf = (at: EntryIterator): KvListEntry<Value> => lineOf(at, prefix, delimiter, codec);
  return new SyncIterator(entries, iterators, itemOf, limit);
}

/** First key behind `after`, and behind all that it stands for if it is a rolled-up prefix. Undefined: there is none. */
function startOf(
  prefix: Uint8Array,
  delimiter: Uint8Array | undefined,
  { after }: KvListOptions,
): Uint8Array | undefined {
  if (after === undefined) {
    return prefix;
  }
  const bytes = ownCopyOf(keyBytesOf(after));
  const isRolledUp =
    delimiter !== undefined &&
    startsWith(bytes, prefix) &&
    endOfComponent(bytes, prefix.length, delimiter) === bytes.length;
  const start = isRolledUp ? successorOfPrefix(bytes) : successorOf(bytes);
  return start !== undefined && compareKeys(start, prefix) < 0 ? prefix : start;
}

function lineOf<Value>(
  entries: EntryIterator,
  prefix: Uint8Array,
  delimiter: Uint8Array | undefined,
  codec: ValueCodec<Value>,
): KvListEntry<Value> {
  const key = copyOf(entries.keyBytes, entries.keyStart, entries.keyEnd);
  const end = delimiter === undefined ? -1 : endOfComponent(key, prefix.length, delimiter);
  if (end < 0) {
    const value = codec.decode(entries.valueBytes, entries.valueStart, entries.valueEnd);
    return { type: 'key', key, value, version: entries.sequence };
  }
  const rolledUp = copyOf(key, 0, end);
  const next = successorOfPrefix(rolledUp);
  if (next === undefined) {
    entries.finish();
  } else {
    entries.seek(next);
  }
  return { type: 'prefix', prefix: rolledUp };
}
