/** Names in a store's folder, and what stands in its folder of tables. */
import type { FileSystem } from '../../io/file-system.ts';
import { foreignFile, inspectNames } from '../../io/own-names.ts';
import { joinPath } from '../../io/path.ts';
import { MANIFEST_NAME, TABLES_NAME, tableNumberOf, tablesDirectory } from '../sstable/names.ts';

/** The journal's folder, of a store with a log. */
export const LOG_NAME = 'log';
/** What was set aside because nobody can say what it is. */
export const QUARANTINE_NAME = 'quarantine';

const ownNames: ReadonlySet<string> = new Set([
  'LOCK',
  MANIFEST_NAME,
  `${MANIFEST_NAME}.tmp`,
  TABLES_NAME,
  LOG_NAME,
  QUARANTINE_NAME,
]);

/** Throws `FOREIGN_FILE` if a store's folder holds something that isn't ours, `NOT_A_STORE` if it holds nothing that is. */
export function inspectKvNames(fileSystem: FileSystem, directory: string): void {
  inspectNames(fileSystem, directory, ownNames, [MANIFEST_NAME, TABLES_NAME]);
}

/** Sizes of the files that have a table's name, by number. Throws `FOREIGN_FILE` if there is anything else. */
export function listTables(fileSystem: FileSystem, directory: string): ReadonlyMap<number, number> {
  const tables = tablesDirectory(directory);
  const sizes = new Map<number, number>();
  if (fileSystem.stat(tables) === undefined) {
    return sizes;
  }
  for (const { name, kind } of fileSystem.list(tables)) {
    const number = tableNumberOf(name);
    const path = joinPath(tables, name);
    if (number !== undefined && kind === 'file') {
      sizes.set(number, fileSystem.stat(path)?.size ?? 0);
    } else if (!name.startsWith('.')) {
      throw foreignFile(path);
    }
  }
  return sizes;
}
