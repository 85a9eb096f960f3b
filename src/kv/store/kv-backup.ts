import { checkPath } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import { replaceFile } from '../../io/atomic-file.ts';
import type { Clock } from '../../io/clock.ts';
import { copyBytes, tryLink } from '../../io/copy-file.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { makeFolders } from '../../io/folders.ts';
import { isInside } from '../../io/is-inside.ts';
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
  checkTarget(fileSystem, folder.directory, path);
  const view = tables.pin(tables.current);
  try {
    makeFolders(fileSystem, tablesDirectory(path));
    for (const { meta } of view.handles.flat()) {
      const source = tablePath(folder.directory, meta.number);
      tables.checkOpen();
      await linkOrCopy(fileSystem, clock, source, tablePath(path, meta.number));
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

function checkTarget(fileSystem: FileSystem, directory: string, target: string): void {
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
  fileSystem: FileSystem,
  clock: Clock,
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
