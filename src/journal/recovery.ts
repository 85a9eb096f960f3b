/**
 * Opening a journal: what was appended and is whole comes back, what was torn and can't have been acknowledged is set
 * aside, anything else is refused. Nothing is changed on disk before everything has been checked, and stopping anywhere
 * leaves a folder that opens to the same result.
 *
 *   x   first offset of the newest segment that holds no valid frame following its predecessor; p the position there
 *   D   greatest `durable` in any frame header of its place, before or behind x, and in the tail file
 *
 * p < D: durable data is damaged: CORRUPT. Otherwise nothing proves that anything from x on was durable.
 *
 * A position that the owner knows counts for D, once its mark was found. Full segments below it, or all that have a footer if the owner reads
 * them itself (`passesSealed`), are checked by header, footer, offset table, count and chain: what is in their frames, this doesn't see.
 */
import { CorruptionError } from '../base/errors.ts';
import { readSmallFile } from '../io/atomic-file.ts';
import type { FileSystem } from '../io/file-system.ts';
import { foreignFile } from '../io/own-names.ts';
import { joinPath } from '../io/path.ts';
import type { FrameEncoder, SegmentSummary } from './encoder.ts';
import {
  decodeTail,
  positionOfSegmentName,
  type SegmentHeader,
  segmentName,
  type Tail,
  TAIL_SIZE,
} from './format.ts';
import { isRefusal, refused } from '../base/refusal.ts';
import { KnownCheck, type KnownPosition } from './known-position.ts';
import { endOf, infoOf, repairJournal, stateOf } from './journal-repair.ts';
import { SPARE_NAME, TAIL_NAME } from './names.ts';
import type { OffsetTable } from './offset-table.ts';
import type { SparseOffsets } from './sparse-offsets.ts';
import {
  type FoundFooter,
  isRefusedFooter,
  isWhole,
  readFooter,
  sameBytes,
  type SegmentInfo,
} from './segment-info.ts';
import {
  passSegment,
  readSegmentHeader,
  type Rest,
  scanRest,
  scanSegment,
  type SegmentScan,
} from './segment-scan.ts';
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
  /** A position that is known: what is below it is not replayed, and of full segments not read. Refused with a `KnownPositionError`. */
  readonly known?: KnownPosition | undefined;
  /**
   * Full segments with a usable footer are passed over wherever they lie: nothing in them is replayed, nor checked but a known position's mark.
   * For an owner that has them read by somebody who checks every frame, or has had that done. Default false.
   */
  readonly passesSealed?: boolean;
}

type InspectedParts = Omit<RecoveryParts, 'quarantineDirectory'>;

/** Bytes after the last whole commit, which nothing proves durable. */
export interface TornTail {
  readonly segment: string;
  readonly offset: number;
  readonly size: number;
  /** First position that is missing from the log because of it; appends go on from here. */
  readonly position: number;
}

/** Bytes of a torn tail, kept in a file of their own. */
export interface Quarantined extends TornTail {
  /** The file that holds them now. */
  readonly file: string;
}

/** What opening a journal found and did. */
export interface JournalRecovery {
  /** False if the journal was not left at rest: its process or machine stopped while it held more than its events. */
  readonly wasClosed: boolean;
  /** The tail file: `exact`, `behind` what was found, or unusable and so no bound at all. */
  readonly tail: 'exact' | 'behind' | 'missing' | 'damaged';
  readonly quarantined: Quarantined | undefined;
  /** Of a store that is only read: bytes that the next open will set aside. */
  readonly torn: TornTail | undefined;
  /** Full segments that got their footer only now. */
  readonly sealed: readonly string[];
}

export interface RecoveredSegment extends SegmentInfo {
  /** Of its positions: all of them if no footer holds them, else every 16th. */
  readonly offsets: OffsetTable | SparseOffsets;
  /** The largest stamp of its content, of a segment that is full. */
  readonly maxStamp: number | undefined;
}

/** Where a journal ends: the next frame's segment, offset and position. */
export type JournalEnd = Pick<ActiveSegment, 'index' | 'offset' | 'position'>;

export interface OpenedJournal {
  /** What a writer carries on from; undefined where the journal is only read. */
  readonly active: ActiveSegment | undefined;
  readonly end: JournalEnd;
  readonly segments: readonly RecoveredSegment[];
  readonly recovery: JournalRecovery;
}

export interface RecoveredJournal extends OpenedJournal {
  readonly active: ActiveSegment;
}

/** Opens an existing journal. Throws `CORRUPT`, `FOREIGN_FILE` or `UNSUPPORTED_FORMAT`, having changed nothing. */
export function recoverJournal(parts: RecoveryParts): RecoveredJournal {
  return repairJournal(parts, inspect(parts));
}

/** A journal that was looked at, and is still to be repaired. */
export interface InspectedJournal {
  readonly found: OpenedJournal;
  /** Everything below this position is proved to be durable. */
  readonly durable: number;
  /** Does what `recoverJournal` does after looking. */
  readonly repair: () => RecoveredJournal;
}

/** The first half of `recoverJournal`, for owners who have more to check before anything is changed. Throws the same. */
export function inspectJournal(parts: RecoveryParts): InspectedJournal {
  const inspected = inspect(parts);
  return {
    found: openedOf(parts, inspected),
    durable: inspected.durable,
    repair: () => repairJournal(parts, inspected),
  };
}

/**
 * Looks at an existing journal as `recoverJournal` does and changes nothing: what that would cut or mend is left where it is, and not read.
 * Throws the same.
 */
export function readJournal(parts: InspectedParts): OpenedJournal {
  return openedOf(parts, inspect(parts));
}

function openedOf(parts: InspectedParts, found: Inspected): OpenedJournal {
  const { scans } = found;
  return {
    active: undefined,
    end: endOf(scans.at(-1)!.scan),
    segments: scans.map((one) => infoOf(one, [])),
    recovery: {
      ...stateOf(parts, found),
      quarantined: undefined,
      torn: tornTailOf(found),
      sealed: [],
    },
  };
}

function tornTailOf({ scans, rest }: Inspected): TornTail | undefined {
  const { path, end, position } = scans.at(-1)!.scan;
  return rest.end > end
    ? { segment: path, offset: end, size: rest.end - end, position }
    : undefined;
}

function inspect(parts: InspectedParts): Inspected {
  const { fileSystem, directory } = parts;
  const positions = retained(parts, listSegments(fileSystem, directory));
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
  const known = parts.known && new KnownCheck(parts.known, parts.encoder);
  const scans: FullScan[] = [];
  for (const [index, position] of positions.entries()) {
    scans.push(scanOne(parts, known, scans.at(-1)?.scan, position, positions[index + 1]));
  }
  const last = scans.at(-1)!;
  const { rest, durable } = checkTail(parts, last, tail);
  known?.reachedBy(last.scan);
  return { scans, tail, rest, durable };
}

/**
 * The segments that count: from the newest one that begins at or below `retainedFrom`, or from the one before it if what is known stands at
 * its end. Removals are not synced, so a power cut may bring back any of those before.
 */
function retained(parts: InspectedParts, positions: readonly number[]): readonly number[] {
  const { retainedFrom = 0, known } = parts;
  const first = Math.max(
    0,
    positions.findLastIndex((position) => position <= retainedFrom),
  );
  const border = positions[first];
  const before = positions[first - 1];
  const endsAtBorder =
    border !== undefined &&
    before !== undefined &&
    known?.position === border &&
    headerOf(parts, before).index + 1 === headerOf(parts, border).index;
  return positions.slice(endsAtBorder ? first - 1 : first);
}

function headerOf(
  { fileSystem, directory, identity }: InspectedParts,
  first: number,
): SegmentHeader {
  return readSegmentHeader(fileSystem, directory, first, identity);
}

/** What looking at a journal has shown. */
export interface Inspected {
  readonly scans: readonly FullScan[];
  readonly tail: Tail | 'missing' | 'damaged';
  /** After the last whole frame. */
  readonly rest: Rest;
  /** Everything below this position is proved to be. */
  readonly durable: number;
}

export interface FullScan {
  readonly scan: SegmentScan;
  /** Of full segments only. */
  readonly summary: SegmentSummary | undefined;
  /** Of a segment with a usable one. */
  readonly footer: FoundFooter | undefined;
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
      throw foreignFile(joinPath(directory, name));
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

function readTail(parts: InspectedParts): Tail | 'missing' | 'damaged' {
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
  parts: InspectedParts,
  known: KnownCheck | undefined,
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
    const fileSize = file.size();
    const found = readFooter(file, header);
    const footer = isWhole(found) ? found : undefined;
    const passed =
      footer !== undefined && firstPosition + footer.footer.count === successor
        ? passSegment(file, header, footer, parts, known)
        : undefined;
    const scan = passed ?? scanSegment(file, header, parts.encoder, known);
    if (isRefusedFooter(found)) {
      throw refused(path, found.offset, found.refusal);
    }
    if (successor === undefined) {
      if (typeof found === 'object') {
        const reason = 'a newer segment existed and is missing';
        throw new CorruptionError(path, scan.end, reason, undefined, scan.position);
      }
      return { scan, summary: undefined, footer: undefined, fileSize };
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
    if (passed !== undefined) {
      return { scan, summary: undefined, footer, fileSize };
    }
    const summary = parts.encoder.sealSegment();
    // A footer that isn't whole is made again. One that is whole was made from these very frames.
    if (footer !== undefined && !footerAgrees(footer, scan, summary)) {
      throw new CorruptionError(path, scan.end, 'the footer contradicts the frames');
    }
    return { scan, summary, footer, fileSize };
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
function checkTail(
  parts: InspectedParts,
  last: FullScan,
  tail: Tail | 'missing' | 'damaged',
): Pick<Inspected, 'rest' | 'durable'> {
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
  // A segment begins when all before it is durable.
  return { rest, durable: Math.max(durable, scan.header.firstPosition) };
}
