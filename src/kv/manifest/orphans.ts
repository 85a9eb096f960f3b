/**
 * Tables that no manifest names. Work that has finished leaves its inputs behind, work that was interrupted its outputs; both say in their
 * header whose they are, so they can be removed, whatever their number. The rest:
 *
 *   an empty file                        removed: there is nothing in it
 *   a header of zeros, or not all of it  a power cut before the first sync, most likely: set aside, for it can't say whose it is
 *   anything else                        not ours: nothing is touched; or set aside, in a folder of data that is made again from elsewhere
 */
import type { FileSystem } from '../../io/file-system.ts';
import { joinPath } from '../../io/path.ts';
import { readInto } from '../../io/read-into.ts';
import { isRefusal } from '../../base/refusal.ts';
import { tableName, tablePath, tablesDirectory } from '../sstable/names.ts';
import { decodeHeader, HEADER_SIZE, type TableHeader } from '../sstable/format.ts';
import { QUARANTINE_NAME } from './folder.ts';
import { foreignFile } from '../../io/own-names.ts';

export interface OrphanPlan {
  /** Numbers of tables that are ours and not needed. */
  readonly removable: readonly number[];
  /** Numbers of files without a header. */
  readonly unidentified: readonly number[];
}

/** What is done with tables that are not of this store, or can't say that they are. */
export type Strangers = 'refused' | 'set aside';

/**
 * Sorts tables out and changes nothing. Without an identity, the tables are taken for ours if they all have the same. Throws
 * `FOREIGN_FILE` if one isn't ours and strangers are refused.
 */
export function planOrphans(
  fileSystem: FileSystem,
  directory: string,
  numbers: readonly number[],
  identity: Uint8Array | undefined,
  strangers: Strangers = 'refused',
): OrphanPlan {
  const removable: number[] = [];
  const unidentified: number[] = [];
  let owner = identity;
  for (const number of numbers) {
    const path = tablePath(directory, number);
    const header = readHeader(fileSystem, path);
    if (header === 'empty') {
      removable.push(number);
    } else if (header === 'absent') {
      unidentified.push(number);
    } else if (isOurs(header, number, owner)) {
      owner ??= header.identity;
      removable.push(number);
    } else if (strangers === 'set aside') {
      unidentified.push(number);
    } else {
      throw foreignFile(path);
    }
  }
  return { removable, unidentified };
}

function isOurs(
  header: TableHeader | 'unreadable',
  number: number,
  owner: Uint8Array | undefined,
): header is TableHeader {
  return (
    header !== 'unreadable' &&
    header.number === number &&
    (owner === undefined || isSame(header.identity, owner))
  );
}

/** Carries a plan out, durably. */
export function reclaimOrphans(
  fileSystem: FileSystem,
  directory: string,
  { removable, unidentified }: OrphanPlan,
): void {
  for (const number of unidentified) {
    setAsideTable(fileSystem, directory, number);
  }
  for (const number of removable) {
    fileSystem.remove(tablePath(directory, number));
  }
  if (removable.length + unidentified.length > 0) {
    fileSystem.syncDirectory(tablesDirectory(directory));
  }
}

/** Moves a table to the quarantine, where it keeps its bytes under a name of its own; returns where it is. */
export function setAsideTable(fileSystem: FileSystem, directory: string, number: number): string {
  const quarantine = joinPath(directory, QUARANTINE_NAME);
  if (fileSystem.makeDirectory(quarantine)) {
    fileSystem.syncDirectory(directory);
  }
  const target = vacantName(fileSystem, quarantine, number);
  // Order: two names rather than none, if a power cut comes between the directories.
  fileSystem.link(tablePath(directory, number), target);
  fileSystem.syncDirectory(quarantine);
  fileSystem.remove(tablePath(directory, number));
  return target;
}

function vacantName(fileSystem: FileSystem, quarantine: string, number: number): string {
  let attempt = 0;
  for (;;) {
    const path = joinPath(quarantine, `${attempt}-${tableName(number)}`);
    if (fileSystem.stat(path) === undefined) {
      return path;
    }
    attempt += 1;
  }
}

/** The header of a table's file, or what is there instead. */
export function readHeader(
  fileSystem: FileSystem,
  path: string,
): TableHeader | 'empty' | 'absent' | 'unreadable' {
  const file = fileSystem.open(path, 'read');
  try {
    const bytes = new Uint8Array(HEADER_SIZE);
    const count = readInto(file, bytes, 0);
    if (count === 0) {
      return 'empty';
    }
    if (count < HEADER_SIZE || bytes.every((byte) => byte === 0)) {
      return 'absent';
    }
    const header = decodeHeader(bytes);
    return isRefusal(header) ? 'unreadable' : header;
  } finally {
    file.close();
  }
}

export function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
