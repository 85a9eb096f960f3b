import { copyDigest, DIGEST_WORDS, hasDigest, HashOfHashes, sha256Words } from '../base/digest.ts';
import { plainTextProblem } from './event-decoder.ts';
import { PREVIOUS_LEAF_AT } from './format.ts';
import { checkDigest } from './log-encoder.ts';
import type { RecordView } from './record-view.ts';

/** The part of an audit that follows streams: digests, leaves, links, revisions, times. Records come in log order. */
export class RecordAudit {
  events = 0;
  erased = 0;
  /** Recorded times of the segment's first record and of the last record; -1 before the first. */
  minTime = -1;
  maxTime = 0;

  readonly #streams = new Map<string, number>();
  /** By stream number: the leaf of its last event, zeros if there was none; the revision that comes next, and how many gaps of the log had been met then. */
  #leaves = new Int32Array(1_024 * DIGEST_WORDS);
  #revisions = new Float64Array(1_024);
  #gapsSeen = new Uint32Array(1_024);
  #gapCount = 0;
  readonly #hash = new Int32Array(DIGEST_WORDS);
  #segmentLeaves = new HashOfHashes();

  get hasGap(): boolean {
    return this.#gapCount > 0;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  beginSegment(): void {
    this.minTime = -1;
    this.#segmentLeaves = new HashOfHashes();
  }

  /** Digest of the segment's leaves, as its footer holds it. */
  segmentDigest(): Uint8Array {
    return this.#segmentLeaves.finish();
  }

  /** Positions are missing here: any stream may go on at a higher revision. */
  skip(): void {
    this.#gapCount += 1;
  }

  /** False if the payload is not what was written. */
  check(record: RecordView, report: (reason: string) => void): boolean {
    this.erased += record.isErased ? 1 : 0;
    const problem = checkDigest(record) ?? plainTextProblem(record);
    if (problem !== undefined) {
      report(problem);
    }
    const number = this.#numberOf(record.stream);
    this.#checkLink(record, number, report);
    const { time } = record;
    if (time < this.maxTime) {
      report('the event was recorded before the one in front of it');
    } else if (record.commitIndex > 0 && time !== this.maxTime) {
      report('the event has another time than its commit');
    }
    this.maxTime = time;
    if (this.minTime === -1) {
      this.minTime = time;
    }
    sha256Words(record.leafInput, this.#hash, 0);
    copyDigest(this.#hash, 0, this.#leaves, number * DIGEST_WORDS);
    this.#segmentLeaves.add(this.#hash, 0);
    this.#revisions[number] = record.revision + 1;
    this.#gapsSeen[number] = this.#gapCount;
    this.events += 1;
    return problem === undefined;
  }

  #checkLink(record: RecordView, number: number, report: (reason: string) => void): void {
    const expected = this.#revisions[number]!;
    const mayHaveGap = this.#gapsSeen[number] !== this.#gapCount;
    if (mayHaveGap ? record.revision < expected : record.revision !== expected) {
      report(`the event has revision ${record.revision} where ${expected} belongs`);
      return;
    }
    const at = record.start + PREVIOUS_LEAF_AT;
    if (record.revision === expected && !this.#hasLeaf(number, record.view, at)) {
      report('the event is not linked to the one before it in its stream');
    }
  }

  #hasLeaf(number: number, view: DataView, at: number): boolean {
    return hasDigest(view, at, this.#leaves, number * DIGEST_WORDS);
  }

  #numberOf(stream: string): number {
    let number = this.#streams.get(stream);
    if (number === undefined) {
      number = this.#streams.size;
      this.#streams.set(stream, number);
      if (number === this.#revisions.length) {
        const leaves = new Int32Array(number * 2 * DIGEST_WORDS);
        leaves.set(this.#leaves);
        this.#leaves = leaves;
        const revisions = new Float64Array(number * 2);
        revisions.set(this.#revisions);
        this.#revisions = revisions;
        const gapsSeen = new Uint32Array(number * 2);
        gapsSeen.set(this.#gapsSeen);
        this.#gapsSeen = gapsSeen;
      }
    }
    return number;
  }
}
