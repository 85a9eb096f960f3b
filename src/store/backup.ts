import { CorruptionError, VarveError } from '../base/errors.ts';
import { readSmallFile, replaceFile } from '../io/atomic-file.ts';
import { checkBackupTarget, copyFile, linkOrCopy } from '../io/backup-target.ts';
import type { Clock } from '../io/clock.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { encodeTail, segmentName } from '../journal/format.ts';
import { TAIL_NAME } from '../journal/names.ts';
import type { EventLog } from '../log/event-log.ts';
import { IDENTITY_NAME } from './identity.ts';
import { LOG_DIRECTORY_NAME } from './store-folder.ts';

export interface BackupParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly log: EventLog;
  /** A hard link is noted in the file's own entry: not for a source that nothing may be written to. */
  readonly mayLink: boolean;
  /** Throws if the backup must end. */
  readonly checkContinue: () => void;
}

/**
 * Copies everything below `end`. Sealed segments never change in place, so a hard link is a copy; where that is not
 * possible, bytes are copied. `store.json` comes last: without it the folder is no store yet.
 */
export async function backupStore(
  parts: BackupParts,
  source: { readonly directory: string; readonly identity: Uint8Array },
  target: string,
  end: number,
): Promise<void> {
  const { fileSystem, log } = parts;
  checkBackupTarget(fileSystem, source.directory, target);
  // A newer segment may exist and hold only what isn't durable yet.
  const segments = log
    .describe(end)
    .filter(({ firstPosition }) => firstPosition < end || firstPosition === 0);
  const logDirectory = makeTarget(fileSystem, target);
  const between = async (): Promise<void> => {
    await parts.clock.pause();
    parts.checkContinue();
  };
  for (const [index, segment] of segments.entries()) {
    const path = joinPath(logDirectory, segmentName(segment.firstPosition));
    const isLast = index === segments.length - 1;
    const mayLink = parts.mayLink && !isLast && segment.isSealed;
    if (mayLink) {
      await linkOrCopy(fileSystem, segment.path, path, between);
    } else {
      // A full segment may be getting its footer now: only its frames are copied, and the copy's first open seals it.
      const successor = segments[index + 1]?.firstPosition ?? end;
      const size = segment.isSealed && !isLast ? undefined : log.durableEnd(successor).end;
      await copyFile(fileSystem, segment.path, path, size, between);
    }
  }
  const newest = segments.at(-1)?.firstPosition ?? 0;
  const tail = encodeTail({ identity: source.identity, segment: newest, durable: end });
  replaceFile(fileSystem, logDirectory, TAIL_NAME, tail);
  const identityPath = joinPath(source.directory, IDENTITY_NAME);
  const identity = readSmallFile(fileSystem, identityPath, 64 * 1024);
  if (identity === undefined) {
    throw new CorruptionError(identityPath, undefined, 'the file is missing');
  }
  // Order: everything else is durable before the file that makes the folder a store.
  fileSystem.syncDirectory(target);
  replaceFile(fileSystem, target, IDENTITY_NAME, identity);
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
