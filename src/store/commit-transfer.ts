/**
 * A prepared commit as bytes, on its way through a lane to the owner of the store: its records as they will stand in the log,
 * without place and hashes, behind what the owner needs to decide about it. It lives for the moment of the hand-over, between threads
 * of one process that run one version: no format to be kept.
 *
 *   commit   flags (4) | parts (4) | body size (4) | zeros (4) | parts | records
 *   part     expectation (4) | events (4) | expected revision (8)
 */
import { assert } from '../base/assert.ts';
import { readUint64, writeUint64 } from '../base/integers.ts';
import { RecordView } from '../log/record-view.ts';
import type { ExpectedRevision } from './contract.ts';
import type { PreparedCommit, PreparedPart } from './prepared-commit.ts';

const COMMIT_SIZE = 16;
const PART_SIZE = 16;

const Flag = { ackWritten: 1, hasSignal: 2 } as const;
const REVISION = 3;
const expectations: readonly ExpectedRevision[] = ['any', 'none', 'exists'];

/** Bytes that `encodeCommit` will write. */
export function encodedSizeOf(commit: PreparedCommit): number {
  return COMMIT_SIZE + commit.parts.length * PART_SIZE + commit.bodySize;
}

/** Writes a commit at `start`; returns where it ends. */
export function encodeCommit(
  bytes: Buffer,
  view: DataView,
  start: number,
  commit: PreparedCommit,
): number {
  const flags =
    (commit.ack === 'written' ? Flag.ackWritten : 0) |
    (commit.signal === undefined ? 0 : Flag.hasSignal);
  view.setUint32(start, flags, true);
  view.setUint32(start + 4, commit.parts.length, true);
  view.setUint32(start + 8, commit.bodySize, true);
  view.setUint32(start + 12, 0, true);
  let at = start + COMMIT_SIZE;
  for (const { expectedRevision, count } of commit.parts) {
    const isRevision = typeof expectedRevision === 'number';
    view.setUint32(at, isRevision ? REVISION : expectations.indexOf(expectedRevision), true);
    view.setUint32(at + 4, count, true);
    writeUint64(view, at + 8, isRevision ? expectedRevision : 0);
    at += PART_SIZE;
  }
  for (let index = 0; index < commit.eventCount; index += 1) {
    at = commit.putRecord(index, bytes, view, at);
  }
  return at;
}

const record = new RecordView();

/** A commit that another thread has prepared. Its records may still lie where they came: `detach` before those bytes change. */
export class TransferredCommit implements PreparedCommit {
  readonly parts: PreparedPart[] = [];
  readonly idempotencyKey: string;
  readonly bodySize: number;
  readonly ack: 'durable' | 'written';
  /** The caller may abort it: then a signal is to be set here. */
  readonly hasSignal: boolean;
  signal: AbortSignal | undefined;
  #bytes: Buffer;
  /** Where each record begins, and the last one ends. */
  #starts: number[] = [];
  readonly #ids: string[] = [];

  /** Reads a commit that ends at `end`, and looks at all sizes in it. */
  constructor(bytes: Buffer, view: DataView, start: number, end: number) {
    const flags = view.getUint32(start, true);
    const partCount = view.getUint32(start + 4, true);
    this.bodySize = view.getUint32(start + 8, true);
    this.ack = (flags & Flag.ackWritten) === 0 ? 'durable' : 'written';
    this.hasSignal = (flags & Flag.hasSignal) !== 0;
    this.#bytes = bytes;
    const bodyStart = start + COMMIT_SIZE + partCount * PART_SIZE;
    assert(bodyStart + this.bodySize === end, 'a commit has the size that it says');
    let at = bodyStart;
    for (let part = start + COMMIT_SIZE; part < bodyStart; part += PART_SIZE) {
      at = this.#takePart(view, part, at, end);
    }
    assert(at === end, 'a commit ends where its last event does');
    this.#starts.push(at);
    record.openDraft(bytes, view, bodyStart, end);
    this.idempotencyKey = record.idempotencyKey;
  }

  get eventCount(): number {
    return this.#ids.length;
  }

  suppliedIdOf(index: number): string {
    return this.#ids[index]!;
  }

  putRecord(index: number, bytes: Buffer, _view: DataView, at: number): number {
    const start = this.#starts[index]!;
    const end = this.#starts[index + 1]!;
    return at + this.#bytes.copy(bytes, at, start, end);
  }

  /** Gives the commit memory of its own. */
  detach(): void {
    const start = this.#starts[0]!;
    this.#bytes = Buffer.from(this.#bytes.subarray(start, start + this.bodySize));
    this.#starts = this.#starts.map((at) => at - start);
  }

  /** Notes one part and its events, whose records begin at `at`; returns where they end. */
  #takePart(view: DataView, part: number, at: number, end: number): number {
    const expectation = view.getUint32(part, true);
    const count = view.getUint32(part + 4, true);
    const expectedRevision =
      expectation === REVISION ? readUint64(view, part + 8) : expectations[expectation]!;
    assert(count > 0, 'a part has events');
    let stream = '';
    let next = at;
    for (let index = 0; index < count; index += 1) {
      record.openDraft(this.#bytes, view, next, end);
      assert(record.holdsItsTexts(), 'the texts of a record stand in its header');
      if (index === 0) {
        ({ stream } = record);
      } else {
        assert(record.stream === stream, 'the events of a part are of one stream');
      }
      this.#starts.push(next);
      this.#ids.push(record.suppliedId);
      next = record.end;
    }
    this.parts.push({ stream, expectedRevision, count });
    return next;
  }
}
