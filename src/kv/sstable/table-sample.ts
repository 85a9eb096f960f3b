/** Small tables for tests, and what they must hold. */
import { hashKey } from '../../collections/bloom-filter.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { runBlocking } from '../../io/steps.ts';
import type { TableSettings } from './table-settings.ts';
import { type Cursor, EntryKind, makeFound } from '../entries/cursor.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import { BlockCache } from './block-cache.ts';
import { ReadCounters } from './read-counters.ts';
import { TableBuilder } from './table-builder.ts';
import { TableReader } from './table-reader.ts';
import type { TableMeta } from './table-meta.ts';

/** Without a value it is a deletion. */
export interface SampleEntry {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly value: Uint8Array | undefined;
}

export interface SampleOptions {
  readonly identity?: Uint8Array;
  readonly number?: number;
  readonly level?: number;
  readonly inputs?: readonly number[];
  readonly outputIndex?: number;
  readonly isLastOutput?: boolean;
  readonly settings?: Partial<TableSettings>;
  readonly rangeTombstones?: readonly RangeTombstone[];
}

export const sampleIdentity: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
export const samplePath = '/sample.tbl';

export const text = (from: string): Uint8Array => new TextEncoder().encode(from);

/** Internal order. */
export function compareEntries(left: SampleEntry, right: SampleEntry): number {
  return Buffer.compare(left.key, right.key) || right.sequence - left.sequence;
}

export function makeSample(
  fileSystem: FileSystem,
  path: string,
  entries: readonly SampleEntry[],
  options: SampleOptions = {},
): TableMeta {
  const file = fileSystem.open(path, 'create');
  const builder = new TableBuilder(file, {
    identity: options.identity ?? sampleIdentity,
    number: options.number ?? 7,
    level: options.level ?? 1,
    inputs: options.inputs ?? [],
    outputIndex: options.outputIndex ?? 0,
    settings: {
      blockSize: 128,
      tableSizeMax: 1024 * 1024,
      filterBitsPerKey: 10,
      compression: 'none',
      ...options.settings,
    },
  });
  for (const { start, end, sequence } of options.rangeTombstones ?? []) {
    builder.addRangeTombstone(start, end, sequence);
  }
  for (const { key, sequence, value } of entries) {
    const bytes = value ?? new Uint8Array(0);
    const kind = value === undefined ? EntryKind.delete : EntryKind.put;
    builder.add(key, 0, key.length, sequence, kind, bytes, 0, bytes.length);
    if (builder.wantsWrite) {
      runBlocking(builder.write());
    }
  }
  const meta = runBlocking(builder.finish(options.isLastOutput ?? true));
  file.close();
  return meta;
}

export function openSample(
  fileSystem: FileSystem,
  meta: TableMeta,
  parts: {
    readonly path?: string;
    readonly identity?: Uint8Array;
    readonly cache?: BlockCache;
    readonly counters?: ReadCounters;
  } = {},
): TableReader {
  return TableReader.open(
    fileSystem,
    parts.path ?? samplePath,
    meta,
    parts.identity ?? sampleIdentity,
    parts.cache ?? new BlockCache(1024 * 1024),
    parts.counters ?? new ReadCounters(),
  );
}

/** The entry that a point read finds. */
export function getFrom(
  reader: TableReader,
  key: Uint8Array,
  sequence: number = Number.MAX_SAFE_INTEGER,
): SampleEntry | undefined {
  const hash = new Uint32Array(2);
  hashKey(key, 0, key.length, hash);
  const found = makeFound();
  if (!reader.get(key, hash, sequence, found)) {
    return undefined;
  }
  const value = found.bytes.slice(found.start, found.end);
  return { key, sequence: found.sequence, value: found.kind === EntryKind.put ? value : undefined };
}

/** The entry a cursor stands on, as copies. */
export function entryAt(cursor: Cursor): SampleEntry | undefined {
  if (!cursor.isValid) {
    return undefined;
  }
  const value = cursor.valueBytes.slice(cursor.valueStart, cursor.valueEnd);
  return {
    key: cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd),
    sequence: cursor.sequence,
    value: cursor.kind === EntryKind.put ? value : undefined,
  };
}

/** Everything a cursor gives from the first entry to the last. */
export function scanAll(cursor: Cursor): SampleEntry[] {
  const entries: SampleEntry[] = [];
  for (cursor.seekFirst(); cursor.isValid; cursor.next()) {
    entries.push(entryAt(cursor)!);
  }
  return entries;
}
