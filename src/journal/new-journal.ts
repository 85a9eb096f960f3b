/** How a journal begins: whether there is one, what an interrupted beginning left, and the first segment. */
import { removeIfThere, replaceFile } from '../io/atomic-file.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import type { Random } from '../base/random.ts';
import { encodeSegmentHeader, encodeTail, SEGMENT_HEADER_SIZE, segmentName } from './format.ts';
import { TAIL_NAME } from './names.ts';
import { listSegments, type RecoveryParts } from './recovery.ts';

/** True if a journal's folder holds anything that was written to it. Throws `FOREIGN_FILE` if it holds anything else. */
export function logHoldsFrames(fileSystem: FileSystem, logDirectory: string): boolean {
  if (fileSystem.stat(logDirectory)?.kind !== 'directory') {
    return false;
  }
  // A segment is begun when the one before it is full.
  return listSegments(fileSystem, logDirectory).some(
    (position) =>
      position > 0 || holdsFrame(fileSystem, joinPath(logDirectory, segmentName(position))),
  );
}

/**
 * Removes what an interrupted creation left, which holds nothing. Throws `FOREIGN_FILE` if there is anything else, having removed
 * nothing.
 */
export function removeInterruptedJournal(fileSystem: FileSystem, logDirectory: string): void {
  listSegments(fileSystem, logDirectory);
  for (const { name } of fileSystem.list(logDirectory)) {
    if (!name.startsWith('.')) {
      removeIfThere(fileSystem, joinPath(logDirectory, name));
    }
  }
  fileSystem.syncDirectory(logDirectory);
}

/** Makes the first segment and the tail file of a new journal, durable in this order. */
export function createJournal(
  parts: Pick<RecoveryParts, 'fileSystem' | 'directory' | 'identity'>,
  random: Random,
  firstPosition = 0,
): void {
  const { fileSystem, directory, identity } = parts;
  const salt = new Uint8Array(16);
  random.fill(salt);
  const header = { identity, salt, index: 0, firstPosition, link: 0 };
  replaceFile(fileSystem, directory, segmentName(firstPosition), encodeSegmentHeader(header));
  const tail = encodeTail({ identity, segment: firstPosition, durable: firstPosition });
  replaceFile(fileSystem, directory, TAIL_NAME, tail);
}

function holdsFrame(fileSystem: FileSystem, path: string): boolean {
  const file = fileSystem.open(path, 'read');
  try {
    const bytes = new Uint8Array(64 * 1024);
    const count = readInto(file, bytes, SEGMENT_HEADER_SIZE);
    return bytes.subarray(0, count).some((byte) => byte !== 0);
  } finally {
    file.close();
  }
}
