/** The way of entries into an ingest job, with a bound on what is under way. */
import { VarveError } from '../../base/errors.ts';
import { notApplied } from './ingest-failure.ts';
import { type IngestEntry, IngestPacker } from './ingest-pieces.ts';
import type { JobResult } from './job.ts';

/** Pieces that have been sent and not been taken. */
const PIECES_UNDER_WAY_MAX = 3;

/** The job's end. */
export class IngestFeed {
  readonly #pieces: Uint8Array[] = [];
  #isEnded = false;
  #isAborted = false;
  readonly #onTaken: () => void;

  /** `onTaken` is told of each piece that the job has taken. */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken;
  }

  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
  }

  /** No more pieces follow. */
  end(): void {
    this.#isEnded = true;
  }

  /** No more pieces follow, and what has come is worth nothing. */
  abort(): void {
    this.#isAborted = true;
  }

  /** There is something to take, or nothing will come any more. */
  get hasNews(): boolean {
    return this.#pieces.length > 0 || this.#isEnded || this.#isAborted;
  }

  /** The next piece, or undefined at the end. Only when there is news. */
  take(): Uint8Array | undefined {
    if (this.#isAborted) {
      throw new VarveError('ABORTED', 'The entries to be ingested did not come to their end.');
    }
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#onTaken();
    }
    return piece;
  }
}

/** Where a sender's pieces go. */
export interface IngestSink {
  /** The piece's memory goes with it. */
  push(piece: Uint8Array<ArrayBuffer>): void;
  end(): void;
  abort(): void;
}

/** The caller's end: asks for entries as fast as the job takes them. */
export class IngestSender {
  readonly #sink: IngestSink;
  readonly #packer = new IngestPacker();
  #underWayCount = 0;
  /** The job is over: it needs no more. */
  #isStopped = false;
  /** What is wrong about the entries. */
  #failure: { readonly cause: unknown } | undefined;
  #goOn: (() => void) | undefined;

  constructor(sink: IngestSink) {
    this.#sink = sink;
  }

  /** The job has taken a piece. */
  taken(): void {
    this.#underWayCount -= 1;
    this.#goOn?.();
  }

  /**
   * Sends all entries to a job that has been started, and gives its result. Rejects with what `entries` throws, as it is, and with what
   * is wrong about them, when the job has tidied up; with `applied: 'no'` if the job fails. A job that fails is not kept waiting by entries that don't come.
   */
  async sendAll(
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
    result: Promise<JobResult>,
  ): Promise<JobResult> {
    void this.#send(entries);
    try {
      return await result;
    } catch (error) {
      // Whoever makes tables and fails has removed them, or the next open does: no manifest names them.
      throw this.#failure === undefined ? notApplied(error) : this.#failure.cause;
    } finally {
      this.#isStopped = true;
      this.#goOn?.();
    }
  }

  /** Never rejects. */
  async #send(entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>): Promise<void> {
    try {
      // A list is taken in place: a promise for each entry would cost more than packing it.
      const isWhole =
        Symbol.iterator in entries ? await this.#addAll(entries) : await this.#addAllAsync(entries);
      if (isWhole) {
        this.#push(this.#packer.end());
        this.#sink.end();
      }
    } catch (cause) {
      this.#failure = { cause };
      this.#sink.abort();
    }
  }

  /** False if the job was over before the entries were. */
  async #addAll(entries: Iterable<IngestEntry>): Promise<boolean> {
    for (const entry of entries) {
      if (!this.#add(entry)) {
        await this.#waitForRoom();
      }
      if (this.#isStopped) {
        return false;
      }
    }
    return true;
  }

  async #addAllAsync(entries: AsyncIterable<IngestEntry>): Promise<boolean> {
    for await (const entry of entries) {
      if (!this.#add(entry)) {
        await this.#waitForRoom();
      }
      if (this.#isStopped) {
        return false;
      }
    }
    return true;
  }

  /** False if nothing more should be sent for now. */
  #add([key, value]: IngestEntry): boolean {
    this.#push(this.#packer.add(key, value));
    return this.#underWayCount < PIECES_UNDER_WAY_MAX;
  }

  #push(piece: Uint8Array<ArrayBuffer> | undefined): void {
    if (piece !== undefined && !this.#isStopped) {
      this.#underWayCount += 1;
      this.#sink.push(piece);
    }
  }

  async #waitForRoom(): Promise<void> {
    while (this.#underWayCount >= PIECES_UNDER_WAY_MAX && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve;
      });
    }
  }
}
