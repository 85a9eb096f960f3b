import { checkPath } from '../../base/arguments.ts';
import { replaceFile } from '../../io/atomic-file.ts';
import { checkBackupTarget, linkOrCopy } from '../../io/backup-target.ts';
import type { Clock } from '../../io/clock.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { makeFolders } from '../../io/folders.ts';
import { absolutePath } from '../../io/path.ts';
import { encodeManifest } from '../manifest/format.ts';
import { MANIFEST_NAME, tablePath, tablesDirectory } from '../sstable/names.ts';
import type { Tree } from '../tree/tree.ts';
import type { StoreLog } from './store-log.ts';

/**
 * Copies what the tables hold now. They never change, so a hard link is a copy; where that is not possible, bytes are copied. The manifest
 * comes last: without it the folder is no store yet.
 */
export async function backupKv(
  fileSystem: FileSystem,
  clock: Clock,
  { folder, state, tables }: Tree,
  log: StoreLog,
  target: string,
): Promise<void> {
  checkPath(target, 'Give the folder to back up to.');
  const path = absolutePath(target);
  checkBackupTarget(fileSystem, folder.directory, path);
  const view = tables.pin(tables.current);
  try {
    makeFolders(fileSystem, tablesDirectory(path));
    for (const { meta } of view.handles.flat()) {
      const source = tablePath(folder.directory, meta.number);
      tables.checkOpen();
      await linkOrCopy(fileSystem, source, tablePath(path, meta.number), () => clock.pause());
    }
    fileSystem.syncDirectory(tablesDirectory(path));
  } finally {
    tables.unpin(view);
  }
  const { identity, lastSequence } = state;
  log.makeCopy(path, identity, lastSequence);
  tables.checkOpen();
  // Order: everything else is durable before the file that makes the folder a store.
  fileSystem.syncDirectory(path);
  const content = encodeManifest({ ...state, flushedSequence: lastSequence });
  replaceFile(fileSystem, path, MANIFEST_NAME, content);
}
