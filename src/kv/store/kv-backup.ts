import { checkPath } from '../../base/arguments.ts';
import type { Random } from '../../base/random.ts';
import { replaceFile } from '../../io/atomic-file.ts';
import { checkBackupTarget, linkOrCopy } from '../../io/backup-target.ts';
import type { Clock } from '../../io/clock.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { makeFolders } from '../../io/folders.ts';
import { absolutePath, joinPath } from '../../io/path.ts';
import { createJournal } from '../../journal/recovery.ts';
import type { Maintenance } from '../tree/maintenance.ts';
import { LOG_NAME } from '../manifest/folder.ts';
import { encodeManifest } from '../manifest/format.ts';
import { MANIFEST_NAME, tablePath, tablesDirectory } from '../sstable/names.ts';
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
  checkBackupTarget(fileSystem, parts.directory, path);
  const { state } = maintenance;
  const view = tables.pin(tables.current);
  try {
    makeFolders(fileSystem, tablesDirectory(path));
    for (const { meta } of view.handles.flat()) {
      const source = tablePath(parts.directory, meta.number);
      tables.checkOpen();
      await linkOrCopy(fileSystem, source, tablePath(path, meta.number), () => parts.clock.pause());
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
  const content = encodeManifest({ ...state, flushedSequence: lastSequence });
  replaceFile(fileSystem, path, MANIFEST_NAME, content);
}
