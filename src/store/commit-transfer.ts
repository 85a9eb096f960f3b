/**
 * A prepared commit as bytes, on its way through a lane to the owner of the store: its records as they will stand in the log,
 * without place and hashes, after what the owner needs to decide about it. It lives for the moment of the hand-over, between threads
 * of one process that run one version: no format to be kept.
 *
 *   commit   flags (4) | parts (4) | body size (4) | zeros (4) | parts | records
 *   part     expectation (4) | events (4) | expected revision (8)
 */
import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/copy-bytes.ts';
import { readUint64, viewOf, writeUint64 } from '../base/integers.ts';
import { recordSizeAt } from '../log/format.ts';
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
  readonly parts: readonly PreparedPart[];
  readonly eventCount: number;
  readonly idempotencyScope: string;
  readonly idempotencyKey: string;
  readonly bodySize: number;
  readonly ack: 'durable' | 'written';
  /** The caller may abort it: then a signal is to be set here. */
  readonly hasSignal: boolean;
  signal: AbortSignal | undefined;
  #source: { readonly bytes: Buffer; readonly view: DataView };
  /** Where the records begin. */
  #start: number;
  /** The record that was looked at last, and where it begins. */
  #index = 0;
  #at: number;

  /** Reads a commit that ends at `end`, and looks at all sizes in it. */
  constructor(bytes: Buffer, view: DataView, start: number, end: number) {
    const flags = view.getUint32(start, true);
    const partCount = view.getUint32(start + 4, true);
    this.bodySize = view.getUint32(start + 8, true);
    this.ack = (flags & Flag.ackWritten) === 0 ? 'durable' : 'written';
    this.hasSignal = (flags & Flag.hasSignal) !== 0;
    this.#source = { bytes, view };
    this.#start = start + COMMIT_SIZE + partCount * PART_SIZE;
    this.#at = this.#start;
    assert(this.#start + this.bodySize === end, 'a commit has the size that it says');
    const first = this.#takePart(start + COMMIT_SIZE, end);
    const parts = [first];
    let { count } = first;
    for (let index = 1; index < partCount; index += 1) {
      const part = this.#takePart(start + COMMIT_SIZE + index * PART_SIZE, end);
      parts.push(part);
      count += part.count;
    }
    this.parts = parts;
    assert(this.#at === end, 'a commit ends where its last event does');
    this.eventCount = count;
    this.#index = count;
    record.openDraft(bytes, view, this.#start, end);
    this.idempotencyScope = record.idempotencyScope;
    this.idempotencyKey = record.idempotencyKey;
  }

  suppliedIdOf(index: number): string {
    const { bytes, view } = this.#source;
    record.openDraft(bytes, view, this.#startOf(index), this.#start + this.bodySize);
    return record.suppliedId;
  }

  putRecord(index: number, bytes: Buffer, view: DataView, at: number): number {
    const source = this.#source;
    const start = this.#startOf(index);
    const end = start + recordSizeAt(source.view, start);
    assert(end <= this.#start + this.bodySize, 'a record stands in its commit');
    copyBytes({ bytes, view }, at, source, start, end);
    return at + end - start;
  }

  /** Gives the commit memory of its own. */
  detach(): void {
    const bytes = Buffer.from(
      this.#source.bytes.subarray(this.#start, this.#start + this.bodySize),
    );
    this.#source = { bytes, view: viewOf(bytes) };
    this.#start = 0;
    this.#index = 0;
    this.#at = 0;
  }

  #startOf(index: number): number {
    if (index < this.#index) {
      this.#index = 0;
      this.#at = this.#start;
    }
    for (; this.#index < index; this.#index += 1) {
      this.#at += recordSizeAt(this.#source.view, this.#at);
    }
    return this.#at;
  }

  /** Reads one part and goes over its events, whose records follow those before it. */
  #takePart(at: number, end: number): PreparedPart {
    const { bytes, view } = this.#source;
    const expectation = view.getUint32(at, true);
    const count = view.getUint32(at + 4, true);
    assert(count > 0, 'a part has events');
    let stream = '';
    for (let index = 0; index < count; index += 1) {
      record.openDraft(bytes, view, this.#at, end);
      assert(record.holdsItsTexts(), 'the texts of a record stand in its header');
      if (index === 0) {
        ({ stream } = record);
      } else {
        assert(record.stream === stream, 'the events of a part are of one stream');
      }
      this.#at = record.end;
    }
    const expectedRevision =
      expectation === REVISION ? readUint64(view, at + 8) : expectations[expectation]!;
    return { stream, expectedRevision, count };
  }
}
