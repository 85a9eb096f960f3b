import { join, resolve } from 'node:path';

/** Joins names that the store itself has made or validated. */
export function joinPath(directory: string, ...names: readonly string[]): string {
  return join(directory, ...names);
}

/** The same place whatever becomes of the current directory. */
export function absolutePath(path: string): string {
  return resolve(path);
}
