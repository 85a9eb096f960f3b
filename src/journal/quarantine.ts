import { crc32 } from '../base/crc32.ts';
import { VarveError } from '../base/errors.ts';
import { replaceFile } from '../io/atomic-file.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import type { Quarantined, RecoveryParts } from './recovery.ts';
import type { Rest, SegmentScan } from './segment-scan.ts';

/**
 * Copies the bytes behind the last good frame into a file of their own, durably, before they are cut. The name says where
 * they stood and what they are, so doing it again after a crash makes no second copy.
 */
export function setAside(
  parts: Pick<RecoveryParts, 'fileSystem' | 'quarantineDirectory'>,
  scan: SegmentScan,
  rest: Rest,
): Quarantined {
  const { fileSystem, quarantineDirectory } = parts;
  const size = rest.end - scan.end;
  const bytes = new Uint8Array(size);
  const source = fileSystem.open(scan.path, 'read');
  try {
    if (readInto(source, bytes, scan.end) !== size) {
      throw new VarveError('UNAVAILABLE', `${scan.path} became shorter while it was opened.`);
    }
  } finally {
    source.close();
  }
  const crc = crc32(bytes, 0, size).toString(16).padStart(8, '0');
  const segment = String(scan.header.firstPosition).padStart(20, '0');
  const name = `${segment}-${scan.end}-${crc}.torn`;
  if (fileSystem.makeDirectory(quarantineDirectory)) {
    fileSystem.syncDirectory(joinPath(quarantineDirectory, '..'));
  }
  replaceFile(fileSystem, quarantineDirectory, name, bytes);
  return {
    segment: scan.path,
    offset: scan.end,
    size,
    file: joinPath(quarantineDirectory, name),
    position: scan.position,
  };
}
