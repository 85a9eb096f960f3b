/**
 * What opening does to the files of a journal, after everything has been checked: the torn end is set aside and cut, what was found is made
 * durable, full segments get their footers. Stopping anywhere leaves a folder that opens to the same result.
 */
import { isShortage, VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import { removeIfThere, replaceFile } from '../io/atomic-file.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import { runBlocking } from '../io/steps.ts';
import {
  encodeSegmentHeader,
  encodeTail,
  FRAME_HEADER_SIZE,
  SEGMENT_HEADER_SIZE,
  segmentHeaderCrc,
} from './format.ts';
import { SPARE_NAME, TAIL_NAME } from './names.ts';
import { setAside } from './quarantine.ts';
import type {
  FullScan,
  Inspected,
  JournalEnd,
  JournalRecovery,
  Quarantined,
  RecoveredJournal,
  RecoveredSegment,
  RecoveryParts,
} from './recovery.ts';
import type { SegmentScan } from './segment-scan.ts';
import { sealSegment } from './segment-sealer.ts';
import { SparseOffsets } from './sparse-offsets.ts';
import type { ActiveSegment } from './writer.ts';

/** Changes the folder of a journal that was inspected: now, and only now. */
export function repairJournal(parts: RecoveryParts, found: Inspected): RecoveredJournal {
  const { fileSystem, directory } = parts;
  const { scans, rest } = found;
  const { scan } = scans.at(-1)!;
  const { wasClosed, tail } = stateOf(parts, found);
  let quarantined: Quarantined | undefined;
  if (!wasClosed) {
    quarantined = rest.end > scan.end ? setAside(parts, scan, rest) : undefined;
    cutTail(parts, scan, Math.max(scan.durable, rest.durable, parts.known?.position ?? 0));
    removeIfThere(fileSystem, joinPath(directory, SPARE_NAME));
    renewEmptySegment(parts, scan);
    fileSystem.syncDirectory(directory);
    reached(quarantined === undefined ? 'reopened without a tear' : 'set a torn tail aside');
  }
  const sealed = sealFullSegments(parts, scans);
  const tailHolds = tail === 'exact' || replaceTail(parts, scan);
  const segments = scans.map((one) => infoOf(one, sealed));
  const active = activeOf(parts, scan, tailHolds ? scan.position : 0);
  return {
    active,
    end: active,
    segments,
    recovery: { wasClosed, tail, quarantined, torn: undefined, sealed },
  };
}

/** How the journal was left. */
export function stateOf(
  { fileSystem, directory }: Pick<RecoveryParts, 'fileSystem' | 'directory'>,
  { scans, tail }: Inspected,
): Pick<JournalRecovery, 'wasClosed' | 'tail'> {
  const { scan, fileSize } = scans.at(-1)!;
  const tailIsExact =
    typeof tail === 'object' &&
    tail.durable === scan.position &&
    tail.segment === scan.header.firstPosition;
  const wasClosed =
    tailIsExact &&
    fileSize === scan.end &&
    fileSystem.stat(joinPath(directory, SPARE_NAME)) === undefined;
  return {
    wasClosed,
    tail: typeof tail === 'object' ? (tailIsExact ? 'exact' : 'behind') : tail,
  };
}

/** Where appends would go on. */
export function endOf(scan: SegmentScan): JournalEnd {
  return {
    index: scan.header.index,
    offset: Math.max(scan.end, SEGMENT_HEADER_SIZE),
    position: scan.position,
  };
}

/** False if there was no space for it. */
function replaceTail(parts: RecoveryParts, scan: SegmentScan): boolean {
  const { fileSystem, directory, identity } = parts;
  const tail = { identity, segment: scan.header.firstPosition, durable: scan.position };
  try {
    replaceFile(fileSystem, directory, TAIL_NAME, encodeTail(tail));
    return true;
  } catch (error) {
    // A full disk must not stop readers; an older tail is only a weaker bound.
    if (!isShortage(error)) {
      throw error;
    }
    return false;
  }
}

/**
 * Makes what was found durable, and nothing else. Frames above the proven bound are written again before the sync: after
 * a failed sync the kernel may show bytes it has given up writing. What lies behind the tail is cut, so that no later
 * power cut can bring any of it back.
 */
function cutTail(parts: RecoveryParts, scan: SegmentScan, durable: number): void {
  const { fileSystem } = parts;
  const file = fileSystem.open(scan.path, 'write');
  try {
    const first = Math.max(durable, scan.header.firstPosition);
    const start =
      first < scan.position
        ? scan.offsets.at(first - scan.header.firstPosition) - FRAME_HEADER_SIZE
        : scan.end;
    const step = Buffer.allocUnsafe(1024 * 1024);
    for (let offset = start; offset < scan.end; offset += step.length) {
      const bytes = step.subarray(0, Math.min(step.length, scan.end - offset));
      readInto(file, bytes, offset);
      if (file.write(bytes, offset) !== bytes.length) {
        throw new VarveError('UNAVAILABLE', `${scan.path} could not be written: is the disk full?`);
      }
    }
    file.truncate(scan.end);
    file.sync();
  } finally {
    file.close();
  }
}

/**
 * A newest segment without a frame gets its name once more: it is empty because the rotation to it was interrupted, and if
 * that was by a failed sync of the directory, no later sync makes the old name durable. Goes by way of the spare.
 */
function renewEmptySegment(parts: RecoveryParts, { header, frameCount, path }: SegmentScan): void {
  if (frameCount > 0 || header.index === 0) {
    return;
  }
  const { fileSystem, directory } = parts;
  const sparePath = joinPath(directory, SPARE_NAME);
  const bytes = encodeSegmentHeader(header);
  const spare = fileSystem.open(sparePath, 'create');
  try {
    if (spare.write(bytes, 0) !== bytes.length) {
      throw new VarveError('UNAVAILABLE', `${path} could not be written: is the disk full?`);
    }
    // Order: the header is durable before the name points to it.
    spare.sync();
  } finally {
    spare.close();
  }
  fileSystem.rename(sparePath, path);
  reached('renewed an empty segment');
}

/** Returns the paths of segments that got a footer now. Without space they stay as they are. */
function sealFullSegments(parts: RecoveryParts, scans: readonly FullScan[]): string[] {
  const sealed: string[] = [];
  for (const { scan, summary, footer } of scans) {
    if (summary === undefined || footer !== undefined) {
      continue;
    }
    const file = parts.fileSystem.open(scan.path, 'write');
    try {
      runBlocking(
        sealSegment({
          file,
          salt: scan.header.salt,
          firstPosition: scan.header.firstPosition,
          frameCount: scan.frameCount,
          offsets: scan.offsets,
          framesEnd: scan.end,
          lastLink: scan.link,
          summary,
        }),
      );
      sealed.push(scan.path);
      reached('sealed a full segment at open');
    } catch (error) {
      if (!isShortage(error)) {
        throw error;
      }
    } finally {
      file.close();
    }
  }
  return sealed;
}

function activeOf(parts: RecoveryParts, scan: SegmentScan, tailDurable: number): ActiveSegment {
  return {
    file: parts.fileSystem.open(scan.path, 'write'),
    ...endOf(scan),
    firstPosition: scan.header.firstPosition,
    salt: scan.header.salt,
    link: scan.frameCount === 0 ? segmentHeaderCrc(scan.header) : scan.link,
    frameCount: scan.frameCount,
    offsets: scan.offsets,
    tailDurable,
  };
}

export function infoOf(
  { scan, summary, footer }: FullScan,
  sealed: readonly string[],
): RecoveredSegment {
  const sealedNow = sealed.includes(scan.path);
  return {
    path: scan.path,
    header: scan.header,
    count: scan.position - scan.header.firstPosition,
    framesEnd: scan.end,
    isSealed: sealedNow || footer !== undefined,
    offsets: sealedNow
      ? SparseOffsets.fromTable(scan.offsets)
      : footer === undefined
        ? scan.offsets.clone()
        : SparseOffsets.fromBytes(footer.table),
    maxStamp: footer?.footer.maxStamp ?? summary?.maxStamp,
  };
}
