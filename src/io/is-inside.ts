import { canHold, type FileSystem } from './file-system.ts';
import { joinPath } from './path.ts';

/** True if a path leads into a folder, or would if it were made: by its text, by symbolic links, or by another mount of the same folder. */
export function isInside(fileSystem: FileSystem, directory: string, path: string): boolean {
  if (path === directory || path.startsWith(joinPath(directory, '_').slice(0, -1))) {
    return true;
  }
  if (!canHold(fileSystem)) {
    return false;
  }
  const folders = fileSystem.list(directory).filter(({ kind }) => kind === 'directory');
  const own = [directory, ...folders.map(({ name }) => joinPath(directory, name))];
  const identities = new Set(own.map((folder) => fileSystem.identify(folder)));
  let at = path;
  while (fileSystem.identify(at) === undefined) {
    at = joinPath(at, '..');
  }
  for (at = fileSystem.realPath(at); ; at = joinPath(at, '..')) {
    const identity = fileSystem.identify(at);
    if (identity !== undefined && identities.has(identity)) {
      return true;
    }
    if (joinPath(at, '..') === at) {
      return false;
    }
  }
}
