import { checkPath } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { Clock } from '../../io/clock.ts';
import { copyBytes, tryLink } from '../../io/copy-file.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { makeFolders } from '../../io/folders.ts';
import { isInside } from '../../io/is-inside.ts';
import { absolutePath, joinPath } from '../../io/path.ts';
import { createJournal } from '../../journal/recovery.ts';
import type { Maintenance } from '../tree/maintenance.ts';
import { LOG_NAME } from '../manifest/folder.ts';
import { encodeManifest } from '../manifest/format.ts';
import { replaceManifest } from '../manifest/manifest-store.ts';
import { tablePath, tablesDirectory } from '../sstable/names.ts';
import type { TableSet } from '../tree/table-set.ts';

export interface BackupParts {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly random: Random;
  readonly clock: Clock;
  readonly tables: TableSet;
  readonly maintenance: Maintenance;
}

/**
 * Copies what the tables hold now. They never change, so a hard link is a copy; where that is not possible, bytes are copied. The manifest
 * comes last: without it the folder is no store yet.
 */
export async function backupKv(parts: BackupParts, target: string): Promise<void> {
  const { fileSystem, tables, maintenance, random } = parts;
  checkPath(target, 'Give the folder to back up to.');
  const path = absolutePath(target);
  checkTarget(parts, path);
  const { state } = maintenance;
  const view = tables.pin(tables.current);
  try {
    makeFolders(fileSystem, tablesDirectory(path));
    for (const { meta } of view.handles.flat()) {
      const source = tablePath(parts.directory, meta.number);
      tables.checkOpen();
      await linkOrCopy(parts, source, tablePath(path, meta.number));
    }
    fileSystem.syncDirectory(tablesDirectory(path));
  } finally {
    tables.unpin(view);
  }
  const { identity, lastSequence, hasLog } = state;
  if (hasLog) {
    const directory = joinPath(path, LOG_NAME);
    makeFolders(fileSystem, directory);
    // Everything is in tables: the copy's log begins behind it.
    createJournal({ fileSystem, directory, identity }, random, lastSequence);
  }
  tables.checkOpen();
  // Order: everything else is durable before the file that makes the folder a store.
  fileSystem.syncDirectory(path);
  replaceManifest(fileSystem, path, encodeManifest({ ...state, flushedSequence: lastSequence }));
}

function checkTarget({ fileSystem, directory }: BackupParts, target: string): void {
  if (isInside(fileSystem, directory, target)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${target} is in the folder of the store itself: back up to another place.`,
    );
  }
  const found = fileSystem.stat(target);
  if (found !== undefined && (found.kind !== 'directory' || fileSystem.list(target).length > 0)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${target} is there already: back up into a new or an empty folder.`,
    );
  }
}

async function linkOrCopy(
  { fileSystem, clock }: BackupParts,
  sourcePath: string,
  targetPath: string,
): Promise<void> {
  if (tryLink(fileSystem, sourcePath, targetPath)) {
    return;
  }
  const source = fileSystem.open(sourcePath, 'read');
  try {
    const target = fileSystem.open(targetPath, 'create');
    try {
      await copyBytes(source, target, source.size(), () => clock.pause());
      await target.syncAsync();
    } finally {
      target.close();
    }
  } finally {
    source.close();
  }
}
