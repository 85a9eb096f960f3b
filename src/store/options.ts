import {
  checkBoolean,
  checkCallback,
  checkChoice,
  checkRange,
  checkSignal,
  rejectUnknownNames,
  withoutUndefined,
} from '../base/arguments.ts';
import { VarveError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Clock } from '../io/clock.ts';
import type { ComponentModule } from '../io/component.ts';
import type { FileSystem } from '../io/file-system.ts';
import type { WorkerModules } from '../io/worker-modules.ts';
import { journalDefaults } from '../journal/options.ts';
import type { Codec } from '../log/codecs.ts';

/** Settings; all optional. */
export interface StoreOptions {
  /** Make the store if the folder is missing or empty. Default true; false throws `NOT_A_STORE` instead. */
  readonly create?: boolean;
  /**
   * Open the store for reading only: nothing in the folder is changed, no lock is taken and nothing is recovered, so it works on media that can't be
   * written. What a crash has left is read as the next open will recover it. Calls that write reject with `READ_ONLY`. Throws `LOCKED` if
   * somebody has the store open for writing now. Default false.
   */
  readonly readOnly?: boolean;
  /**
   * Codec for new payloads: `none` (default), `deflate`, `zstd` (Node ≥ 22.15) or one that you register. A payload is
   * stored compressed only where that is smaller. Costs the caller's thread time.
   */
  readonly compression?: string;
  /** Payloads below this size are stored as they are. Default 512: below it compression rarely pays. */
  readonly compressionMinBytes?: number;
  /** Largest segment file, 1 MiB to 1 GiB. Default 64 MiB. Smaller ones make backups finer, larger ones make fewer files. */
  readonly maxSegmentBytes?: number;
  /** Largest write to the log. Default 4 MiB. */
  readonly maxBatchBytes?: number;
  /** Bytes of commits that may wait for the disk; beyond it appends wait. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /**
   * How long a commit may wait for others to share its sync, in ms, 0 to 1,000. Default 0: one writer waits for nobody, and
   * whoever comes while the disk is busy shares the next sync. More saves syncs where they are dear.
   */
  readonly maxDelayMs?: number;
  /**
   * Where the log is written. `thread`: on a thread of its own, which hashes, writes and syncs while this one goes on;
   * `inline`: in this thread's event loop, with the same result. `auto` (default): a thread where there are threads as Node.js has
   * them and the file system is the operating system's or named by its module; where it can't be started, inline, and the logger is told.
   */
  readonly background?: 'auto' | 'thread' | 'inline';
  /** The earlier name of `background`; only one of the two may be given. */
  readonly writer?: 'auto' | 'thread' | 'inline';
  /** Files kept open for reading single events. Default 64. */
  readonly maxOpenFiles?: number;
  /**
   * Memory for what is derived from the log: the newest events' streams, keys and ids, filters and indexes of tables, and blocks of tables. Default
   * 64 MiB, at least 16 KiB. Filters and indexes take about 2.6 bytes for each key and supplied id that was ever used, 3 to 4 for each stream; where they leave too little, more
   * is used. docs/derived.md says how it is shared out.
   */
  readonly indexMemoryBytes?: number;
  /** Called now and then while `open` makes derived data from the log, which takes a second for some hundred thousand events. */
  readonly onProgress?: (progress: OpenProgress) => void;
  /** Ends an `open` that is making derived data: it rejects with `ABORTED`. What was made is kept, and the next `open` goes on there. */
  readonly signal?: AbortSignal;
}

export interface OpenProgress {
  readonly phase: 'index';
  /** Positions that derived data covers. */
  readonly positions: number;
  /** Positions in the log. */
  readonly positionsTotal: number;
}

/** Replaceable parts. */
export interface StoreComponents {
  /** An object, or the module that makes one: a writer on its own thread needs the latter. */
  readonly fileSystem?: FileSystem | ComponentModule;
  /** Times that are no whole milliseconds since 1970 have the call rejected that needed one. */
  readonly clock?: Clock;
  readonly random?: Random;
  /** A function of one entry. Silent by default; what it throws or rejects with is ignored. */
  readonly logger?: Logger;
  /** Further payload codecs. Whoever reads the store needs them too. */
  readonly codecs?: readonly Codec[];
  /** Where the threads' files are, for programs whose bundler has moved them. */
  readonly workers?: WorkerModules;
}

type Calls = 'onProgress' | 'signal';

export type ResolvedOptions = Readonly<Required<Omit<StoreOptions, 'writer' | Calls>>> &
  Pick<StoreOptions, Calls>;

export const defaults: ResolvedOptions = Object.freeze({
  create: true,
  readOnly: false,
  compression: 'none',
  compressionMinBytes: 512,
  maxSegmentBytes: journalDefaults.segmentSizeMax,
  maxBatchBytes: journalDefaults.batchSizeMax,
  maxPendingBytes: journalDefaults.pendingSizeMax,
  maxDelayMs: journalDefaults.maxDelayMs,
  background: 'auto',
  // 64: random reads over 4 GiB of segments without reopening files, far below any process limit.
  maxOpenFiles: 64,
  // Filters of 10 million keys and a million streams, a dozen generations, and some blocks.
  indexMemoryBytes: 64 * 1024 * 1024,
});

export function resolveOptions(given: StoreOptions = {}): ResolvedOptions {
  rejectUnknownNames(
    given,
    new Set([...Object.keys(defaults), 'writer', 'onProgress', 'signal']),
    'option',
  );
  const { writer, ...rest } = withoutUndefined(given);
  if (writer !== undefined && rest.background !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'The option writer is the earlier name of background: give only that.',
    );
  }
  const options = { ...defaults, ...(writer && { background: writer }), ...rest };
  checkBoolean('create', options.create);
  checkBoolean('readOnly', options.readOnly);
  checkRange('compressionMinBytes', options.compressionMinBytes, 0, limits.plainSizeMax);
  checkRange(
    'maxSegmentBytes',
    options.maxSegmentBytes,
    limits.segmentSizeFirst,
    limits.segmentSizeMax,
  );
  checkRange('maxBatchBytes', options.maxBatchBytes, 4_096, 64 * 1024 * 1024);
  checkRange('maxPendingBytes', options.maxPendingBytes, 4_096, 1024 * 1024 * 1024);
  checkChoice('background', options.background, ['auto', 'thread', 'inline']);
  checkRange('maxDelayMs', options.maxDelayMs, 0, 1_000);
  checkRange('maxOpenFiles', options.maxOpenFiles, 1, 10_000);
  checkRange('indexMemoryBytes', options.indexMemoryBytes, 16 * 1024, 64 * 1024 ** 3);
  checkCallback('onProgress', options.onProgress);
  checkSignal(options.signal);
  return options;
}
