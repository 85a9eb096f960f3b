import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import { positionOfSegmentName, SEGMENT_HEADER_SIZE } from './format.ts';

/** True if a journal's folder holds anything that was written to it. */
export function logHoldsFrames(fileSystem: FileSystem, logDirectory: string): boolean {
  if (fileSystem.stat(logDirectory)?.kind !== 'directory') {
    return false;
  }
  const segments = fileSystem
    .list(logDirectory)
    .filter(({ name, kind }) => kind === 'file' && positionOfSegmentName(name) !== undefined);
  // A segment is begun when the one before it is full.
  return (
    segments.length > 1 ||
    segments.some(({ name }) => holdsFrame(fileSystem, joinPath(logDirectory, name)))
  );
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
