import { CorruptionError, VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import { IndexCopy } from '../derived/copy-index.ts';
import type { IndexTree } from '../derived/index-tree.ts';
import { DERIVED_DIRECTORY_NAME } from '../derived/open-index.ts';
import { readSmallFile, replaceFile } from '../io/atomic-file.ts';
import { checkBackupTarget, checkOutside, copyFile, linkOrCopy } from '../io/backup-target.ts';
import type { Clock } from '../io/clock.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { encodeTail, segmentName } from '../journal/format.ts';
import { TAIL_NAME } from '../journal/names.ts';
import { sameBytes } from '../journal/segment-info.ts';
import type { EventLog, SegmentSummaryInfo } from '../log/event-log.ts';
import { BackupUpdate } from './backup-update.ts';
import type { BackupResult } from './contract.ts';
import { IDENTITY_NAME, IDENTITY_SIZE_MAX, readIdentity } from './identity.ts';
import { inspectFolder, LOG_DIRECTORY_NAME } from './store-folder.ts';

export interface BackupParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly log: EventLog;
  /** Derived data that the copy is to have, too. */
  readonly index: IndexTree | undefined;
  /** A hard link is noted in the file's own entry: not for a source that nothing may be written to. */
  readonly mayLink: boolean;
  /** Throws if the backup must end. */
  readonly checkContinue: () => void;
}

export interface BackupSource {
  readonly directory: string;
  readonly identity: Uint8Array;
}

/** Copies everything below `end` to a new folder, or adds what an older backup of the same store there doesn't hold. */
export async function backupStore(
  parts: BackupParts,
  source: BackupSource,
  target: string,
  end: number,
): Promise<BackupResult> {
  const { fileSystem, clock, index, checkContinue } = parts;
  checkOutside(fileSystem, source.directory, target);
  const isUpdate = isBackupOf(fileSystem, source, target);
  // Order: the tree is fixed before the log's end, which is `end` in the turn of the call or before, so it never covers more than is copied.
  const copy = index && new IndexCopy(index);
  const between = async (): Promise<void> => {
    await clock.pause();
    checkContinue();
  };
  try {
    const backup = new Backup({ ...parts, between }, source, target, end);
    return await (isUpdate ? backup.update(copy) : backup.make(copy));
  } finally {
    copy?.release();
  }
}

/** False if nothing is there. Throws `INVALID_ARGUMENT` for anything else than a backup of this store. */
function isBackupOf(fileSystem: FileSystem, source: BackupSource, target: string): boolean {
  if (fileSystem.stat(joinPath(target, IDENTITY_NAME)) === undefined) {
    checkBackupTarget(fileSystem, source.directory, target);
    return false;
  }
  inspectFolder(fileSystem, target, false);
  const found = readIdentity(fileSystem, target);
  if (found === undefined || !sameBytes(found.bytes, source.identity)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${target} holds another store: back up into a new or an empty folder.`,
      { details: { directory: target } },
    );
  }
  return true;
}

class Backup {
  readonly #parts: BackupParts & { readonly between: () => Promise<void> };
  readonly #source: BackupSource;
  readonly #target: string;
  readonly #end: number;
  readonly #segments: readonly SegmentSummaryInfo[];
  #bytes = 0;

  constructor(
    parts: BackupParts & { readonly between: () => Promise<void> },
    source: BackupSource,
    target: string,
    end: number,
  ) {
    this.#parts = parts;
    this.#source = source;
    this.#target = target;
    this.#end = end;
    // A newer segment may exist and hold only what isn't durable yet.
    this.#segments = parts.log
      .describe(end)
      .filter(({ firstPosition }) => firstPosition < end || firstPosition === 0);
  }

  /**
   * Sealed segments never change in place, so a hard link is a copy; where that is not possible, bytes are copied. `store.json` comes last: without
   * it the folder is no store yet.
   */
  async make(copy: IndexCopy | undefined): Promise<BackupResult> {
    const { fileSystem } = this.#parts;
    const logDirectory = makeTarget(fileSystem, this.#target);
    const covered = await this.#copyTables(copy);
    for (const [index, segment] of this.#segments.entries()) {
      await this.#copySegment(index, segment, logDirectory);
    }
    const identity = this.#source.identity;
    const segment = this.#segments.at(-1)?.firstPosition ?? 0;
    const tail = encodeTail({ identity, segment, durable: this.#end });
    replaceFile(fileSystem, logDirectory, TAIL_NAME, tail);
    if (covered !== undefined) {
      copy!.finish(fileSystem, this.#derived);
    }
    const content = this.#readIdentity();
    // Order: everything else is durable before the file that makes the folder a store.
    fileSystem.syncDirectory(this.#target);
    replaceFile(fileSystem, this.#target, IDENTITY_NAME, content);
    return { isNew: true, events: this.#end, derived: covered, bytes: this.#bytes };
  }

  /** The copy is locked meanwhile: nobody opens what is being changed. */
  async update(copy: IndexCopy | undefined): Promise<BackupResult> {
    const { fileSystem, log, between } = this.#parts;
    const lock = await fileSystem.lockDirectory(this.#target);
    try {
      const target = joinPath(this.#target, LOG_DIRECTORY_NAME);
      const { identity } = this.#source;
      const parts = { fileSystem, log, identity, target, between };
      const update = new BackupUpdate(parts, this.#segments, this.#end);
      await update.compare();
      const covered = await this.#copyTables(copy);
      this.#bytes += await update.run();
      if (covered !== undefined) {
        fileSystem.syncDirectory(this.#target);
        copy!.finish(fileSystem, this.#derived);
      }
      return { isNew: false, events: this.#end, derived: covered, bytes: this.#bytes };
    } finally {
      await lock.release();
    }
  }

  get #derived(): string {
    return joinPath(this.#target, DERIVED_DIRECTORY_NAME);
  }

  /** Returns how much of the log they cover; undefined if there are none to copy. */
  async #copyTables(copy: IndexCopy | undefined): Promise<number | undefined> {
    if (copy === undefined || copy.covered === 0) {
      return undefined;
    }
    try {
      this.#bytes += await copy.copyTables(this.#parts, this.#derived);
      return copy.covered;
    } catch (error) {
      this.#parts.checkContinue();
      if (copy.isOpen) {
        throw error;
      }
      // Damage was met meanwhile, and the tree is made again: the copy's first open does the same.
      reached('a backup went on without derived data');
      return undefined;
    }
  }

  async #copySegment(
    index: number,
    segment: SegmentSummaryInfo,
    logDirectory: string,
  ): Promise<void> {
    const { fileSystem, log, mayLink, between } = this.#parts;
    const path = joinPath(logDirectory, segmentName(segment.firstPosition));
    const successor = this.#segments[index + 1]?.firstPosition;
    if (successor !== undefined && segment.isSealed) {
      await linkOrCopy(fileSystem, segment.path, path, between, mayLink);
      this.#bytes += segment.size;
      return;
    }
    // A full segment may be getting its footer now: only its frames are copied, and the copy's first open seals it.
    const { end } = log.durableEnd(successor ?? this.#end);
    await copyFile(fileSystem, segment.path, path, end, between);
    this.#bytes += end;
  }

  #readIdentity(): Uint8Array {
    const path = joinPath(this.#source.directory, IDENTITY_NAME);
    const content = readSmallFile(this.#parts.fileSystem, path, IDENTITY_SIZE_MAX);
    if (content === undefined) {
      throw new CorruptionError(path, undefined, 'the file is missing');
    }
    return content;
  }
}

function makeTarget(fileSystem: FileSystem, target: string): string {
  if (fileSystem.stat(target) === undefined) {
    const parent = joinPath(target, '..');
    if (fileSystem.stat(parent) === undefined) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `The folder ${parent} does not exist: make it first.`,
      );
    }
    fileSystem.makeDirectory(target);
    fileSystem.syncDirectory(parent);
  }
  const logDirectory = joinPath(target, LOG_DIRECTORY_NAME);
  fileSystem.makeDirectory(logDirectory);
  return logDirectory;
}
