/**
 * Recomputes everything that the log says about itself, from the bytes alone: no index and no open store is needed. Goes
 * on behind damage as far as frames can be recognized, so one run names all of it. Memory is one buffer and 80 bytes a
 * stream beside its name, whatever the size of the log.
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { checkAborted } from '../base/aborted.ts';
import type { Clock } from '../io/clock.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { readSmallFile } from '../io/atomic-file.ts';
import { readInto } from '../io/read-into.ts';
import {
  decodeSegmentHeader,
  decodeTail,
  FRAME_HEADER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  segmentHeaderCrc,
  segmentName,
  type Tail,
  TAIL_SIZE,
} from '../journal/format.ts';
import { isRefusal, unsupportedFormat } from '../base/refusal.ts';
import { FrameWalker } from '../journal/frame-walker.ts';
import { TAIL_NAME } from '../journal/names.ts';
import { OffsetTable } from '../journal/offset-table.ts';
import { listSegments } from '../journal/recovery.ts';
import { isRefusedFooter, readFooter, sameBytes } from '../journal/segment-info.ts';
import { type Rest, scanRest } from '../journal/segment-scan.ts';
import type { CodecRegistry } from './codecs.ts';
import { type Finding, FindingList } from './finding-list.ts';
import { RecordView } from './record-view.ts';
import { checkCrc, checkPlace } from './log-encoder.ts';
import { PayloadAudit } from './payload-audit.ts';
import { RecordAudit } from './record-audit.ts';

export type { Finding };

export interface AuditReport {
  /** True if there is no finding of severity `damage`. */
  readonly ok: boolean;
  readonly segments: number;
  readonly commits: number;
  readonly events: number;
  readonly streams: number;
  /** Payloads that were erased: their digests can't be recomputed, everything else was. */
  readonly erased: number;
  /**
   * What was done with payloads: `hashed` compared their bytes with their digests, and looked at sizes and text; `parsed` also
   * decompressed and parsed them, as a read does.
   */
  readonly payloads: 'hashed' | 'parsed';
  /** Of those to be parsed: only hashed, for want of a codec. A notice says which. */
  readonly unparsed: number;
  readonly bytes: number;
  /** At most 1,000; `findingCount` counts all. */
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

export interface AuditParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  /** The folder of the segments. */
  readonly directory: string;
  readonly identity: Uint8Array;
  /** For payloads that are to be parsed. */
  readonly codecs: CodecRegistry;
}

export interface AuditOptions {
  /** Also decompress and parse payloads. */
  readonly payloads?: boolean | undefined;
  /** Positions to check: those below. Undefined: all that is there, as a store at rest. */
  readonly end?: number;
  /** With `end`: whether the segment that begins with this position has its footer. Default: nobody knows. */
  readonly isSealed?: ((firstPosition: number) => boolean) | undefined;
  readonly onProgress?:
    | ((progress: { readonly bytes: number; readonly bytesTotal: number }) => void)
    | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Throws if the audit must end. */
  readonly checkContinue?: (() => void) | undefined;
  /** Called for each record that can be read, in order; the view is reused. */
  readonly onRecord?: ((record: RecordView) => void) | undefined;
}

/** Bytes between two rests for whoever else runs in this thread: about 10 ms of work. */
const PAUSE_SIZE = 4 * 1024 * 1024;

/** Damage is reported, not thrown; throws only if a file can't be read at all or the signal aborts. */
export function auditLog(parts: AuditParts, options: AuditOptions = {}): Promise<AuditReport> {
  return new Audit(parts, options).run();
}

class Audit {
  readonly #parts: AuditParts;
  readonly #options: AuditOptions;
  readonly #findings = new FindingList();
  readonly #payloads: PayloadAudit | undefined;
  readonly #record = new RecordView();
  readonly #records = new RecordAudit();
  #commits = 0;
  /** Commits of the segments before the current one. */
  #commitsBefore = 0;
  #bytes = 0;
  #bytesTotal = 0;
  #pausedAt = 0;
  #position = 0;
  /** From the tail file. */
  #durable = 0;
  #link: number | undefined = 0;

  constructor(parts: AuditParts, options: AuditOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#payloads =
      options.payloads === true ? new PayloadAudit(parts.codecs, this.#findings) : undefined;
  }

  async run(): Promise<AuditReport> {
    const { fileSystem, directory } = this.#parts;
    const end = this.#options.end ?? Number.POSITIVE_INFINITY;
    const positions = listSegments(fileSystem, directory).filter(
      (position) => position < end || position === 0,
    );
    const tail = this.#readTail();
    this.#durable = tail?.durable ?? 0;
    for (const position of positions) {
      const path = joinPath(directory, segmentName(position));
      this.#bytesTotal += fileSystem.stat(path)?.size ?? 0;
    }
    if (positions.length === 0) {
      this.#findings.add('damage', directory, 'every segment of the log is missing');
    }
    for (const [index, position] of positions.entries()) {
      await this.#auditSegment(index, position, positions[index + 1]);
    }
    this.#auditTail(tail, positions.at(-1) ?? 0);
    return this.#report(positions.length);
  }

  #report(segments: number): AuditReport {
    return {
      ok: this.#findings.damageCount === 0,
      segments,
      commits: this.#commits,
      events: this.#records.events,
      streams: this.#records.streamCount,
      erased: this.#records.erased,
      payloads: this.#payloads === undefined ? 'hashed' : 'parsed',
      unparsed: this.#payloads?.unparsed ?? 0,
      bytes: this.#bytes,
      findings: this.#findings.kept,
      findingCount: this.#findings.count,
    };
  }

  async #auditSegment(
    index: number,
    firstPosition: number,
    successor: number | undefined,
  ): Promise<void> {
    const { fileSystem, directory } = this.#parts;
    const path = joinPath(directory, segmentName(firstPosition));
    if (firstPosition !== this.#position) {
      this.#findings.add(
        'damage',
        path,
        `the segments hold no position from ${this.#position} to ${firstPosition - 1}`,
        {
          position: this.#position,
        },
      );
      this.#skipTo(firstPosition);
    }
    const file = fileSystem.open(path, 'read');
    try {
      const header = this.#auditHeader(file, index, firstPosition);
      if (header === undefined) {
        if (successor !== undefined) {
          this.#skipTo(successor);
        }
        return;
      }
      const offsets = new OffsetTable();
      const damageBefore = this.#findings.damageCount;
      const framesEnd = await this.#auditFrames(file, header, successor, offsets);
      const isWhole = this.#findings.damageCount === damageBefore;
      if (successor === undefined) {
        this.#auditEnd(file, header, framesEnd);
      } else if (isWhole) {
        this.#auditFooter(file, header, framesEnd, offsets);
      }
    } finally {
      file.close();
    }
  }

  #auditHeader(file: File, index: number, firstPosition: number): SegmentHeader | undefined {
    const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
    const header = decodeSegmentHeader(bytes.subarray(0, readInto(file, bytes, 0)));
    if (isRefusal(header)) {
      this.#findings.addRefused(file.path, 0, header);
      return undefined;
    }
    if (!sameBytes(header.identity, this.#parts.identity)) {
      this.#findings.add('damage', file.path, 'the segment belongs to another store', {
        offset: 8,
      });
    }
    if (
      header.firstPosition !== firstPosition ||
      (!this.#records.hasGap && header.index !== index) ||
      (this.#link !== undefined && header.link !== this.#link)
    ) {
      this.#findings.add('damage', file.path, 'the segment does not follow the one before it', {
        offset: 40,
      });
    }
    return header;
  }

  /** Returns where the last good frame ends. */
  async #auditFrames(
    file: File,
    header: SegmentHeader,
    successor: number | undefined,
    offsets: OffsetTable,
  ): Promise<number> {
    const end = Math.min(
      this.#options.end ?? Number.POSITIVE_INFINITY,
      successor ?? Number.POSITIVE_INFINITY,
    );
    let walker = new FrameWalker(file, header.salt, {
      offset: SEGMENT_HEADER_SIZE,
      position: header.firstPosition,
      link: segmentHeaderCrc(header),
    });
    this.#records.beginSegment();
    this.#commitsBefore = this.#commits;
    // What is behind the first damage, found once.
    let rest: Rest | undefined;
    for (;;) {
      while (walker.position < end && walker.next()) {
        this.#auditFrame(file, walker, offsets);
        if (this.#bytes - this.#pausedAt > PAUSE_SIZE) {
          await this.#pause();
        }
      }
      this.#link = walker.link;
      const { refusal } = walker;
      if (refusal?.version !== undefined) {
        throw unsupportedFormat(file.path, refusal.version);
      }
      const isLast = successor === undefined && this.#options.end === undefined;
      if (walker.position >= end) {
        return walker.end;
      }
      rest ??= scanRest(file, header.salt, walker.end);
      const next = this.#findNextFrame(file, header, walker, end, rest);
      if (next === undefined) {
        if (!isLast) {
          const last = Number.isFinite(end) ? ` to ${end - 1}` : '';
          this.#findings.add(
            'damage',
            file.path,
            `${walker.stop}: positions ${walker.position}${last} are missing`,
            {
              offset: walker.end,
              position: walker.position,
            },
          );
          this.#skipTo(end);
        }
        return walker.end;
      }
      this.#findings.add(
        'damage',
        file.path,
        `${walker.stop}: positions ${walker.position} to ${next.walker.frame.firstPosition - 1} are missing`,
        { offset: walker.end, position: walker.position },
      );
      this.#skipTo(next.walker.frame.firstPosition);
      walker = next.walker;
      this.#auditFrame(file, walker, offsets);
      await this.#pause();
    }
  }

  /** The first whole frame behind damage, already read. */
  #findNextFrame(
    file: File,
    header: SegmentHeader,
    walker: FrameWalker,
    end: number,
    rest: Rest,
  ): { walker: FrameWalker } | undefined {
    for (let index = firstBehind(rest.frames, walker.end); index < rest.frames.length; index += 1) {
      const offset = rest.frames[index]!;
      const probe = FrameWalker.at(file, header.salt, offset);
      const first = probe?.frame.firstPosition ?? 0;
      const durable = Math.max(rest.durable, this.#durable);
      // A frame of the newest segment that follows damage was durable only if something after it says so.
      const isDurable = this.#options.end !== undefined || Number.isFinite(end) || first < durable;
      if (probe !== undefined && first >= walker.position && first < end && isDurable) {
        return { walker: probe };
      }
    }
    return undefined;
  }

  #auditFrame(file: File, walker: FrameWalker, offsets: OffsetTable): void {
    const { frame, bytes, view } = walker;
    const start = walker.at + FRAME_HEADER_SIZE;
    const end = start + frame.bodySize;
    let at = start;
    for (let index = 0; index < frame.count; index += 1) {
      const record = this.#record;
      const fileOffset = walker.frameOffset + FRAME_HEADER_SIZE + at - start;
      const problem =
        record.open(bytes, view, at, end) ?? checkPlace(record, frame, index) ?? checkCrc(record);
      if (problem !== undefined) {
        this.#findings.add('damage', file.path, problem, {
          offset: fileOffset,
          position: frame.firstPosition + index,
        });
        break;
      }
      offsets.push(fileOffset);
      record.file = file.path;
      record.fileOffset = fileOffset;
      this.#auditRecord(record);
      at = record.end;
    }
    if (at !== end) {
      this.#findings.add('damage', file.path, 'a frame holds something other than its records', {
        offset: walker.frameOffset,
        position: frame.firstPosition,
      });
    }
    this.#position = frame.firstPosition + frame.count;
    this.#commits += 1;
    this.#bytes += FRAME_HEADER_SIZE + frame.bodySize;
  }

  #auditRecord(record: RecordView): void {
    const { position, stream, file, fileOffset: offset } = record;
    const isSound = this.#records.check(record, (reason) =>
      this.#findings.add('damage', file, reason, { offset, position, stream }),
    );
    if (isSound) {
      this.#payloads?.check(record);
    }
    this.#options.onRecord?.(record);
  }

  #auditFooter(file: File, header: SegmentHeader, framesEnd: number, offsets: OffsetTable): void {
    const found = readFooter(file, header);
    const { end, isSealed } = this.#options;
    if (isRefusedFooter(found)) {
      this.#findings.addRefused(file.path, found.offset, found.refusal);
      return;
    }
    if (typeof found === 'string') {
      // In an open store a full segment may still wait for its footer.
      if (end === undefined || isSealed?.(header.firstPosition) === true) {
        this.#findings.add('notice', file.path, `the segment has no usable footer: ${found}`, {
          offset: framesEnd,
        });
      }
      return;
    }
    const { footer, table } = found;
    const agrees =
      footer.framesEnd === framesEnd &&
      footer.frameCount === this.#commits - this.#commitsBefore &&
      footer.lastLink === this.#link &&
      footer.minStamp === this.#records.minTime &&
      footer.maxStamp === this.#records.maxTime &&
      sameBytes(table, offsets.toBytes()) &&
      sameBytes(footer.digest, this.#records.segmentDigest());
    if (!agrees) {
      this.#findings.add('damage', file.path, 'the footer contradicts the frames', {
        offset: framesEnd,
      });
    }
  }

  /** What lies behind the newest segment's last frame, in a store that nobody has open. */
  #auditEnd(file: File, header: SegmentHeader, framesEnd: number): void {
    if (this.#options.end !== undefined) {
      return;
    }
    const rest = scanRest(file, header.salt, framesEnd);
    const durable = Math.max(rest.durable, this.#durable);
    if (rest.refused !== undefined) {
      this.#findings.addRefused(
        file.path,
        rest.refused.offset,
        rest.refused.refusal,
        this.#position,
      );
    } else if (durable > this.#position) {
      this.#findings.add(
        'damage',
        file.path,
        `positions ${this.#position} to ${durable - 1} were durable and are missing`,
        {
          offset: framesEnd,
          position: this.#position,
        },
      );
    } else if (rest.end > framesEnd) {
      this.#findings.add(
        'notice',
        file.path,
        `${rest.end - framesEnd} bytes of appends that nothing proves durable: at most the last second's were acknowledged`,
        {
          offset: framesEnd,
          position: this.#position,
        },
      );
    }
    const found = readFooter(file, header);
    if (isRefusedFooter(found)) {
      this.#findings.addRefused(file.path, found.offset, found.refusal);
    } else if (typeof found === 'object') {
      this.#findings.add('damage', file.path, 'a newer segment existed and is missing', {
        offset: framesEnd,
      });
    }
  }

  /** What the tail file says was durable. It belongs to a store at rest; while one is open, its own word counts. */
  #readTail(): Tail | undefined {
    if (this.#options.end !== undefined) {
      return undefined;
    }
    const { fileSystem, directory, identity } = this.#parts;
    const path = joinPath(directory, TAIL_NAME);
    const bytes = readSmallFile(fileSystem, path, TAIL_SIZE + 1);
    const tail = bytes === undefined ? { reason: 'the tail file is missing' } : decodeTail(bytes);
    if (isRefusal(tail)) {
      if (tail.isIntact === true) {
        this.#findings.addRefused(path, 0, tail);
        return undefined;
      }
      const reason = `${tail.reason}, so a missing end of the log might go unnoticed`;
      this.#findings.add('notice', path, reason);
      return undefined;
    }
    if (!sameBytes(tail.identity, identity)) {
      this.#findings.add('damage', path, 'the tail file belongs to another store', { offset: 8 });
      return undefined;
    }
    return tail;
  }

  #auditTail(tail: Tail | undefined, newest: number): void {
    if (tail !== undefined && tail.segment > newest) {
      const missing = joinPath(this.#parts.directory, segmentName(tail.segment));
      this.#findings.add('damage', missing, 'the newest segment is missing', {
        position: tail.segment,
      });
    }
  }

  /** Positions are missing: streams may have gaps from here on. */
  #skipTo(position: number): void {
    this.#position = Number.isFinite(position) ? position : this.#position;
    this.#records.skip();
    this.#link = undefined;
  }

  async #pause(): Promise<void> {
    const { onProgress, signal } = this.#options;
    this.#pausedAt = this.#bytes;
    onProgress?.({ bytes: this.#bytes, bytesTotal: this.#bytesTotal });
    await this.#parts.clock.pause();
    this.#options.checkContinue?.();
    checkAborted(signal);
  }
}

/** Index of the first offset that is not below `offset`. */
function firstBehind(offsets: readonly number[], offset: number): number {
  return firstIndexWhere(offsets.length, (index) => offsets[index]! >= offset);
}
