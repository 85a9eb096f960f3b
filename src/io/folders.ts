import { systemCode, VarveError } from '../base/errors.ts';
import type { FileSystem } from './file-system.ts';
import { joinPath } from './path.ts';

/** Makes a folder and those above it, each durable before the next. */
export function makeFolders(fileSystem: FileSystem, directory: string): void {
  if (fileSystem.stat(directory) !== undefined) {
    return;
  }
  const parent = joinPath(directory, '..');
  if (parent === directory) {
    throw new VarveError('NOT_A_STORE', `${directory} does not exist.`, { details: { directory } });
  }
  makeFolders(fileSystem, parent);
  if (fileSystem.makeDirectory(directory)) {
    fileSystem.syncDirectory(parent);
  }
}

/** Makes the names on the way to a folder durable, as far as we may: one that we made may not be durable yet. */
export function syncParents(fileSystem: FileSystem, directory: string): void {
  const parent = joinPath(directory, '..');
  if (parent === directory) {
    return;
  }
  syncParents(fileSystem, parent);
  try {
    fileSystem.syncDirectory(parent);
  } catch (error) {
    const code = systemCode(error);
    // Where we may not read, we haven't made a folder.
    if (code !== 'EACCES' && code !== 'EPERM') {
      throw error;
    }
  }
}
