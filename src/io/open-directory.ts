import type { Directory, FileSystem } from './file-system.ts';

/** Opens a directory to be synced later, as far as the file system can. */
export function openDirectory(fileSystem: FileSystem, path: string): Directory {
  return (
    fileSystem.openDirectory?.(path) ?? {
      sync: () => fileSystem.syncDirectory(path),
      close: () => {},
    }
  );
}
