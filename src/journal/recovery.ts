/**
 * Opening a journal: what was appended and is whole comes back, what was torn and can't have been acknowledged is set
 * aside, anything else is refused. Nothing is changed on disk before everything has been checked, and stopping anywhere
 * leaves a folder that opens to the same result.
 *
 *   x   first offset of the newest segment that holds no valid frame following its predecessor; p the position there
 *   D   greatest `durable` in any frame header of its place, before or behind x, and in the tail file
 *
 * p < D: durable data is damaged: CORRUPT. Otherwise nothing from x on was ever acknowledged.
 */
import { CorruptionError, isShortage, VarveError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { reached } from '../base/reached.ts';
import { readSmallFile, removeIfThere, replaceFile } from '../io/atomic-file.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readInto } from '../io/read-into.ts';
import { runBlocking } from './disk-request.ts';
import type { FrameEncoder, SegmentSummary } from './encoder.ts';
import {
  decodeTail,
  encodeSegmentHeader,
  encodeTail,
  FRAME_HEADER_SIZE,
  isRefusal,
  positionOfSegmentName,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  segmentHeaderCrc,
  segmentName,
  type Tail,
  TAIL_SIZE,
} from './format.ts';
import { SPARE_NAME, TAIL_NAME } from './names.ts';
import type { OffsetTable } from './offset-table.ts';
import { setAside } from './quarantine.ts';
import {
  type FoundFooter,
  isRefusedFooter,
  readFooter,
  sameBytes,
  type SegmentInfo,
} from './segment-info.ts';
import {
  readSegmentHeader,
  refused,
  type Rest,
  scanRest,
  scanSegment,
  type SegmentScan,
} from './segment-scan.ts';
import { sealSegment } from './segment-sealer.ts';
import type { ActiveSegment } from './writer.ts';

export interface RecoveryParts {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly quarantineDirectory: string;
  readonly identity: Uint8Array;
  readonly encoder: FrameEncoder;
  /**
   * Everything from this position on must be there; segments that end before it may have been removed. Default 0: nothing
   * was ever removed.
   */
  readonly retainedFrom?: number;
}

/** Bytes of a torn tail, kept in a file of their own. */
export interface Quarantined {
  readonly segment: string;
  readonly offset: number;
  readonly size: number;
  /** The file that holds them now. */
  readonly file: string;
  /** First position that is missing from the log because of it; appends go on from here. */
  readonly position: number;
}

/** What opening a journal found and did. */
export interface JournalRecovery {
  /** False if the journal was not left at rest: its process or machine stopped while it held more than its events. */
  readonly wasClosed: boolean;
  /** The tail file: `exact`, `behind` what was found, or unusable and so no bound at all. */
  readonly tail: 'exact' | 'behind' | 'missing' | 'damaged';
  readonly quarantined: Quarantined | undefined;
  /** Full segments that got their footer only now. */
  readonly sealed: readonly string[];
}

/** A segment, with the offsets of its positions if no footer holds them. */
export interface RecoveredSegment extends SegmentInfo {
  readonly offsets: OffsetTable | undefined;
}

export interface RecoveredJournal {
  readonly active: ActiveSegment;
  readonly segments: readonly RecoveredSegment[];
  readonly recovery: JournalRecovery;
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

/** Opens an existing journal. Throws `CORRUPT`, `FOREIGN_FILE` or `UNSUPPORTED_FORMAT`, having changed nothing. */
export function recoverJournal(parts: RecoveryParts): RecoveredJournal {
  const { fileSystem, directory } = parts;
  const positions = retained(listSegments(fileSystem, directory), parts.retainedFrom ?? 0);
  const tail = readTail(parts);
  const newest = positions.at(-1);
  if (newest === undefined) {
    throw new CorruptionError(directory, undefined, 'every segment of the log is missing');
  }
  if (typeof tail === 'object' && tail.segment > newest) {
    const missing = joinPath(directory, segmentName(tail.segment));
    const reason = 'the newest segment is missing';
    throw new CorruptionError(missing, undefined, reason, undefined, tail.segment);
  }
  const scans: FullScan[] = [];
  for (const [index, position] of positions.entries()) {
    scans.push(scanOne(parts, scans.at(-1)?.scan, position, positions[index + 1]));
  }
  const last = scans.at(-1)!;
  const rest = checkTail(parts, last, tail);
  return repair(parts, scans, rest, tail);
}

/**
 * The segments that count: from the newest one that begins at or below `retainedFrom`. Removals are not synced, so a power cut
 * may bring back any of those before it.
 */
function retained(positions: readonly number[], retainedFrom: number): readonly number[] {
  const first = positions.findLastIndex((position) => position <= retainedFrom);
  return positions.slice(Math.max(0, first));
}

interface FullScan {
  readonly scan: SegmentScan;
  /** Of full segments only. */
  readonly summary: SegmentSummary | undefined;
  readonly isSealed: boolean;
  readonly fileSize: number;
}

/** First positions of the segments in order; refuses names that a journal never makes. */
export function listSegments(fileSystem: FileSystem, directory: string): number[] {
  const positions: number[] = [];
  for (const { name, kind } of fileSystem.list(directory)) {
    const position = positionOfSegmentName(name);
    if (position !== undefined && kind === 'file') {
      positions.push(position);
    } else if (!name.startsWith('.') && !(kind === 'file' && isOwnName(name))) {
      throw new VarveError(
        'FOREIGN_FILE',
        `${joinPath(directory, name)} is not a file of this store: move it elsewhere.`,
        { details: { file: joinPath(directory, name) } },
      );
    }
  }
  return positions.sort((left, right) => left - right);
}

function isOwnName(name: string): boolean {
  return (
    name === SPARE_NAME ||
    name === TAIL_NAME ||
    name === `${TAIL_NAME}.tmp` ||
    (name.endsWith('.tmp') && positionOfSegmentName(name.slice(0, -'.tmp'.length)) !== undefined)
  );
}

function readTail(parts: RecoveryParts): Tail | 'missing' | 'damaged' {
  const path = joinPath(parts.directory, TAIL_NAME);
  const bytes = readSmallFile(parts.fileSystem, path, TAIL_SIZE + 1);
  if (bytes === undefined) {
    return 'missing';
  }
  const tail = decodeTail(bytes);
  if (isRefusal(tail)) {
    if (tail.isIntact === true) {
      throw refused(path, 0, tail);
    }
    return 'damaged';
  }
  if (!sameBytes(tail.identity, parts.identity)) {
    throw new CorruptionError(path, 8, 'the tail file belongs to another store');
  }
  return tail;
}

function scanOne(
  parts: RecoveryParts,
  previous: SegmentScan | undefined,
  firstPosition: number,
  successor: number | undefined,
): FullScan {
  const { fileSystem, directory } = parts;
  const retainedFrom = parts.retainedFrom ?? 0;
  const isPlaced =
    previous === undefined ? firstPosition <= retainedFrom : firstPosition === previous.position;
  if (!isPlaced) {
    const expected = previous?.position ?? retainedFrom;
    const missing = joinPath(directory, segmentName(expected));
    throw new CorruptionError(missing, undefined, 'the segment is missing', undefined, expected);
  }
  const header = readSegmentHeader(fileSystem, directory, firstPosition, parts.identity);
  const path = joinPath(directory, segmentName(firstPosition));
  if (!follows(header, previous)) {
    throw new CorruptionError(path, 40, 'the segment does not follow the one before it');
  }
  const file = fileSystem.open(path, 'read');
  try {
    const scan = scanSegment(file, header, parts.encoder);
    const fileSize = file.size();
    const found = readFooter(file, header);
    if (isRefusedFooter(found)) {
      throw refused(path, found.offset, found.refusal);
    }
    if (successor === undefined) {
      if (typeof found === 'object') {
        const reason = 'a newer segment existed and is missing';
        throw new CorruptionError(path, scan.end, reason, undefined, scan.position);
      }
      return { scan, summary: undefined, isSealed: false, fileSize };
    }
    if (scan.position !== successor) {
      throw new CorruptionError(
        path,
        scan.end,
        `${scan.stop}, and positions ${scan.position} to ${successor - 1} are missing`,
        undefined,
        scan.position,
      );
    }
    const summary = parts.encoder.sealSegment();
    const isSealed = typeof found === 'object';
    // A footer that isn't whole is made again. One that is whole was made from these very frames.
    if (isSealed && !footerAgrees(found, scan, summary)) {
      throw new CorruptionError(path, scan.end, 'the footer contradicts the frames');
    }
    return { scan, summary, isSealed, fileSize };
  } finally {
    file.close();
  }
}

/** The first segment that is there follows nothing that could be checked, unless it is the very first. */
function follows(header: SegmentHeader, previous: SegmentScan | undefined): boolean {
  if (previous !== undefined) {
    return header.index === previous.header.index + 1 && header.link === previous.link;
  }
  return header.firstPosition > 0 || (header.index === 0 && header.link === 0);
}

function footerAgrees(
  { footer, table }: FoundFooter,
  scan: SegmentScan,
  summary: SegmentSummary,
): boolean {
  return (
    footer.framesEnd === scan.end &&
    footer.frameCount === scan.frameCount &&
    footer.lastLink === scan.link &&
    footer.minStamp === summary.minStamp &&
    footer.maxStamp === summary.maxStamp &&
    sameBytes(footer.digest, summary.digest) &&
    sameBytes(table, scan.offsets.toBytes())
  );
}

/** Decides about the newest segment's end; returns what lies behind it. */
function checkTail(parts: RecoveryParts, last: FullScan, tail: Tail | 'missing' | 'damaged'): Rest {
  const { scan } = last;
  const file = parts.fileSystem.open(scan.path, 'read');
  let rest: Rest;
  try {
    rest = scanRest(file, scan.header.salt, scan.end, parts.encoder.bodySizeMax);
  } finally {
    file.close();
  }
  if (rest.refused !== undefined) {
    throw refused(scan.path, rest.refused.offset, rest.refused.refusal, scan.position);
  }
  const tailDurable = typeof tail === 'object' ? tail.durable : 0;
  const durable = Math.max(scan.durable, rest.durable, tailDurable);
  if (scan.position < durable) {
    throw new CorruptionError(
      scan.path,
      scan.end,
      `${scan.stop}, and positions ${scan.position} to ${durable - 1} were durable`,
      undefined,
      scan.position,
    );
  }
  return rest;
}

/** Everything has been checked: now, and only now, the folder is changed. */
function repair(
  parts: RecoveryParts,
  scans: readonly FullScan[],
  rest: Rest,
  tail: Tail | 'missing' | 'damaged',
): RecoveredJournal {
  const { fileSystem, directory } = parts;
  const last = scans.at(-1)!;
  const { scan } = last;
  const tailIsExact =
    typeof tail === 'object' &&
    tail.durable === scan.position &&
    tail.segment === scan.header.firstPosition;
  const wasClosed =
    tailIsExact &&
    last.fileSize === scan.end &&
    fileSystem.stat(joinPath(directory, SPARE_NAME)) === undefined;
  let quarantined: Quarantined | undefined;
  if (!wasClosed) {
    quarantined = rest.end > scan.end ? setAside(parts, scan, rest) : undefined;
    settleTail(parts, scan, Math.max(scan.durable, rest.durable));
    removeIfThere(fileSystem, joinPath(directory, SPARE_NAME));
    renewEmptySegment(parts, scan);
    fileSystem.syncDirectory(directory);
    reached(quarantined === undefined ? 'reopened without a tear' : 'set a torn tail aside');
  }
  const sealed = sealFullSegments(parts, scans);
  const tailHolds = tailIsExact || replaceTail(parts, scan);
  const recovery: JournalRecovery = {
    wasClosed,
    tail: typeof tail === 'object' ? (tailIsExact ? 'exact' : 'behind') : tail,
    quarantined,
    sealed,
  };
  const segments = scans.map((one) => infoOf(one, sealed));
  const tailDurable = tailHolds ? scan.position : 0;
  return { active: activeOf(parts, scan, tailDurable), segments, recovery };
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
function settleTail(parts: RecoveryParts, scan: SegmentScan, durable: number): void {
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
  for (const { scan, summary, isSealed } of scans) {
    if (summary === undefined || isSealed) {
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
    index: scan.header.index,
    firstPosition: scan.header.firstPosition,
    salt: scan.header.salt,
    offset: Math.max(scan.end, SEGMENT_HEADER_SIZE),
    position: scan.position,
    link: scan.frameCount === 0 ? segmentHeaderCrc(scan.header) : scan.link,
    frameCount: scan.frameCount,
    offsets: scan.offsets,
    tailDurable,
  };
}

function infoOf({ scan, isSealed }: FullScan, sealed: readonly string[]): RecoveredSegment {
  const sealedNow = isSealed || sealed.includes(scan.path);
  return {
    path: scan.path,
    header: scan.header,
    count: scan.offsets.count,
    framesEnd: scan.end,
    isSealed: sealedNow,
    offsets: sealedNow ? undefined : scan.offsets.clone(),
  };
}
