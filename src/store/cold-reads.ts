/** What decisions wait for: everything that one needs and that memory doesn't hold is read before, without blocking. */
import { sha256 } from '../base/digest.ts';
import type { Answers } from '../derived/answers.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { Axis } from '../derived/format.ts';
import type { Journal } from '../journal/journal.ts';
import type { EventLog } from '../log/event-log.ts';
import { ReadBuffer } from '../log/record-search.ts';
import { RecordView } from '../log/record-view.ts';
import { parseEventId } from '../log/event-id.ts';
import type { DuplicateFinder } from './duplicate-finder.ts';
import type { PreparedCommit } from './prepared-commit.ts';
import type { VisibilityGate } from './visibility-gate.ts';

export interface ColdReadsParts {
  readonly index: DerivedIndex;
  readonly log: EventLog;
  readonly journal: Journal;
  readonly gate: VisibilityGate;
  readonly duplicates: Pick<DuplicateFinder, 'isOld'>;
  readonly oldestLeaf: (position: number) => number;
}

/** Reads that memory is kept for. */
const SPARE_COUNT_MAX = 64;

export class ColdReads {
  readonly #parts: ColdReadsParts;
  readonly #spare: { readonly record: RecordView; readonly buffer: ReadBuffer }[] = [];

  constructor(parts: ColdReadsParts) {
    this.#parts = parts;
  }

  /** Undefined if memory holds everything. Rejects if something can't be read. */
  answersFor(commit: PreparedCommit): Promise<Answers> | undefined {
    const { index } = this.#parts;
    const answers = index.newAnswers();
    const reads: Promise<unknown>[] = [];
    const { idempotencyScope: scope, idempotencyKey: key } = commit;
    if (key !== '') {
      this.#readPositions(Axis.key, scope, key, answers, reads);
    }
    for (let nth = 0; nth < commit.eventCount; nth += 1) {
      const id = commit.suppliedIdOf(nth);
      if (id !== '') {
        this.#readPositions(Axis.id, '', id, answers, reads);
      }
    }
    if (lacksIds(commit, index)) {
      reads.push(index.whenAnswering());
    }
    const streams = new Set(commit.parts.map(({ stream }) => stream));
    const last = commit.eventCount - 1;
    for (const stream of streams) {
      this.#readStream(stream, last, answers, reads);
    }
    return reads.length === 0 ? undefined : Promise.all(reads).then(() => answers);
  }

  #readPositions(
    axis: typeof Axis.key | typeof Axis.id,
    scope: string,
    text: string,
    answers: Answers,
    reads: Promise<unknown>[],
  ): void {
    const { index } = this.#parts;
    const known = index.candidates(axis, scope, text);
    // A generated id says itself where its event is.
    const generated = axis === Axis.id ? parseEventId(text) : undefined;
    const others = generated === undefined ? [] : [generated.position];
    if (known === undefined) {
      const read = index.fetchPositions(axis, scope, text, answers);
      reads.push(
        read.then(() => {
          const found = index.candidates(axis, scope, text, answers) ?? [];
          return this.#touch([...found, ...others]);
        }),
      );
    } else if ([...known, ...others].some((position) => this.#isOld(position))) {
      reads.push(this.#touch([...known, ...others]));
    }
  }

  #readStream(stream: string, last: number, answers: Answers, reads: Promise<unknown>[]): void {
    const { index } = this.#parts;
    if (index.look(stream)) {
      if (this.#needsLeaf(index.headPosition, last)) {
        reads.push(this.#readLeaf(index.headPosition, answers));
      }
      return;
    }
    const read = async (): Promise<void> => {
      await index.fetchHead(stream, answers);
      if (index.look(stream, answers) && this.#needsLeaf(index.headPosition, last)) {
        await this.#readLeaf(index.headPosition, answers);
      }
    };
    reads.push(read());
  }

  #needsLeaf(position: number, last: number): boolean {
    return position >= 0 && position < this.#parts.oldestLeaf(this.#parts.journal.appended + last);
  }

  async #readLeaf(position: number, answers: Answers): Promise<void> {
    const { log, gate } = this.#parts;
    if (position >= gate.visible) {
      await gate.waitFor(position, undefined);
    }
    await this.#reading(async (record, buffer) => {
      // What the leaf is made of has a checksum of its own.
      await log.readRecordAsync(position, record, false, buffer);
      answers.leaves.set(position, sha256(record.leafInput));
    });
  }

  /** Lends memory to a read: that of reads before, or it would be made anew for each. */
  async #reading(read: (record: RecordView, buffer: ReadBuffer) => Promise<void>): Promise<void> {
    const memory = this.#spare.pop() ?? { record: new RecordView(), buffer: new ReadBuffer() };
    await read(memory.record, memory.buffer);
    if (this.#spare.length < SPARE_COUNT_MAX) {
      this.#spare.push(memory);
    }
  }

  #isOld(position: number): boolean {
    return this.#parts.duplicates.isOld(position);
  }

  /** Has the system read records which a decision will look at. */
  async #touch(positions: readonly number[]): Promise<void> {
    for (const position of positions) {
      if (this.#isOld(position)) {
        await this.#reading((record, buffer) =>
          this.#parts.log.readRecordAsync(position, record, false, buffer),
        );
      }
    }
  }
}

/** An id that is generated must be none that was ever supplied, and whether it is can't be told now. */
export function lacksIds(commit: PreparedCommit, index: DerivedIndex): boolean {
  return !index.isAnswering && index.hasIds && generatesIds(commit);
}

function generatesIds(commit: PreparedCommit): boolean {
  for (let nth = 0; nth < commit.eventCount; nth += 1) {
    if (commit.suppliedIdOf(nth) === '') {
      return true;
    }
  }
  return false;
}
