import {
  checkBoolean,
  checkChoice,
  checkRange,
  rejectUnknownNames,
  withoutUndefined,
} from '../../base/arguments.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { Clock } from '../../io/clock.ts';
import type { ComponentModule } from '../../io/component.ts';
import type { FileSystem } from '../../io/file-system.ts';
import type { WorkerModules } from '../../io/worker-modules.ts';
import { BLOCK_CACHE_SIZE_MAX } from '../sstable/block-cache.ts';
import { compressorOf } from '../sstable/block-compression.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Settings; all optional. docs/kv-tuning.md says when to touch them. */
export interface KvOptions {
  /** Make the store if the folder is missing or empty. Default true; false throws `NOT_A_STORE` instead. */
  readonly create?: boolean;
  /**
   * Open the store for reading only: nothing in the folder is changed, no lock is taken and nothing is recovered, so it works on media that can't be
   * written. Calls that write reject with `READ_ONLY`. Throws `LOCKED` if somebody has the store open now; an owner that comes later may remove
   * tables that are still read here, whose reads fail then. Default false.
   */
  readonly readOnly?: boolean;
  /**
   * Keep a log, so that writes are durable one by one. Default true. Without one, what isn't flushed is lost when the process ends: for
   * stores derived from a log elsewhere, whose owner replays that from `flushedPosition` on. Fixed when the store is made.
   */
  readonly log?: boolean;
  /** What values are: `bytes` (default; strings count as UTF-8), or `json`: anything that JSON can hold. Not stored: keep to one. */
  readonly values?: 'bytes' | 'json';
  /**
   * Bytes of new entries that are gathered in memory before they become a table. Default 32 MiB. More: fewer merges, slower opening
   * after a crash. Up to three times as much may be in use.
   */
  readonly memtableBytes?: number;
  /**
   * Memory for blocks of tables. Default 64 MiB, at most 32 GiB. 0: every read of a table reads the file. Less than 128 times `blockBytes` may keep
   * none, and blocks that large values make larger than a 256th of it, or than 1 MiB, may be read from the file each time.
   */
  readonly blockCacheBytes?: number;
  /** Size of a block before compression. Default 4 KiB. Smaller: cheaper single reads; larger: smaller tables. */
  readonly blockBytes?: number;
  /** Size at which a table is closed; what is flushed becomes one table, whatever its size. Default 8 MiB. */
  readonly tableBytes?: number;
  /** Of each table's filter. Default 10: one read in a hundred of a key that isn't there looks at a block. 0: no filters. */
  readonly filterBitsPerKey?: number;
  /** Of new blocks: `none` (default), `deflate`, `zstd` (Node ≥ 22.15). Costs the background's time, and reads' that miss the cache. */
  readonly compression?: 'none' | 'deflate' | 'zstd';
  /** Tables kept open. Default 1,000. */
  readonly maxOpenFiles?: number;
  /** Tables of level 0 that start a compaction. Default 4. */
  readonly levelZeroTables?: number;
  /** Size of level 1. Default 256 MiB. */
  readonly levelBaseBytes?: number;
  /** How many times larger each further level is. Default 10. */
  readonly levelMultiplier?: number;
  /** Bytes of writes that may wait for the disk; beyond it writes wait. Default 32 MiB. */
  readonly maxPendingBytes?: number;
  /** Largest write to the log. Default 4 MiB. */
  readonly maxBatchBytes?: number;
  /** How long a write may wait for others to share its sync, in ms, 0 to 1,000. Default 0. */
  readonly maxDelayMs?: number;
  /**
   * Where the log is written and tables are made: `thread`: on threads of their own; `inline`: in this thread's event loop. `auto`
   * (default): on threads where there are threads as Node.js has them and the file system is the operating system's or named by its module;
   * where they can't be started, inline, and the logger is told.
   */
  readonly background?: 'auto' | 'thread' | 'inline';
}

/** Replaceable parts. */
export interface KvComponents {
  /** An object, or the module that makes one: threads need the latter. */
  readonly fileSystem?: FileSystem | ComponentModule;
  /** Times that are no whole milliseconds since 1970 have the call rejected that needed one. */
  readonly clock?: Clock;
  readonly random?: Random;
  /** A function of one entry. Silent by default; what it throws or rejects with is ignored. */
  readonly logger?: Logger;
  /** Where the threads' files are, for programs whose bundler has moved them. */
  readonly workers?: WorkerModules;
}

export type ResolvedKvOptions = Readonly<Required<KvOptions>>;

export const kvDefaults: ResolvedKvOptions = Object.freeze({
  create: true,
  readOnly: false,
  log: true,
  values: 'bytes',
  memtableBytes: 32 * MiB,
  blockCacheBytes: 64 * MiB,
  blockBytes: 4 * KiB,
  tableBytes: 8 * MiB,
  filterBitsPerKey: 10,
  compression: 'none',
  maxOpenFiles: 1_000,
  levelZeroTables: 4,
  levelBaseBytes: 256 * MiB,
  levelMultiplier: 10,
  maxPendingBytes: 32 * MiB,
  maxBatchBytes: 4 * MiB,
  maxDelayMs: 0,
  background: 'auto',
});

/** The log's segments: what is flushed is given back in pieces of this size. */
export const KV_SEGMENT_SIZE_MAX: number = 16 * MiB;

export function resolveKvOptions(given: KvOptions): ResolvedKvOptions {
  rejectUnknownNames(given, new Set(Object.keys(kvDefaults)), 'option');
  const options = { ...kvDefaults, ...withoutUndefined(given) };
  for (const name of ['create', 'log', 'readOnly'] as const) {
    checkBoolean(name, options[name]);
  }
  checkChoice('values', options.values, ['bytes', 'json']);
  checkChoice('compression', options.compression, ['none', 'deflate', 'zstd']);
  // One that this process lacks would show only at the first flush, long after writes were acknowledged.
  compressorOf(options.compression);
  checkChoice('background', options.background, ['auto', 'thread', 'inline']);
  checkRange('memtableBytes', options.memtableBytes, 4 * KiB, 256 * MiB);
  checkRange('blockCacheBytes', options.blockCacheBytes, 0, BLOCK_CACHE_SIZE_MAX);
  checkRange('blockBytes', options.blockBytes, 64, MiB);
  checkRange('tableBytes', options.tableBytes, KiB, 1024 * MiB);
  checkRange('filterBitsPerKey', options.filterBitsPerKey, 0, 40);
  checkRange('maxOpenFiles', options.maxOpenFiles, 1, 100_000);
  checkRange('levelZeroTables', options.levelZeroTables, 1, 100);
  checkRange('levelBaseBytes', options.levelBaseBytes, KiB, 64 * 1024 * MiB);
  checkRange('levelMultiplier', options.levelMultiplier, 2, 100);
  checkRange('maxPendingBytes', options.maxPendingBytes, 4 * KiB, 1024 * MiB);
  checkRange('maxBatchBytes', options.maxBatchBytes, 4 * KiB, 64 * MiB);
  checkRange('maxDelayMs', options.maxDelayMs, 0, 1_000);
  return options;
}
