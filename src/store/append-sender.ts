/**
 * The client's half of appending: puts prepared commits into the lane in the order of the calls, keeps those for which there is
 * no room yet, and tells each call what the owner says of it.
 */
import { assert } from '../base/assert.ts';
import { type PackedError, unpackError } from '../base/error-transfer.ts';
import { type Applied, asVarveError, type VarveError, withApplied } from '../base/errors.ts';
import { viewOf } from '../base/integers.ts';
import { Fifo } from '../collections/fifo.ts';
import { SignalListeners } from '../collections/signal-listeners.ts';
import { ownTimers } from '../io/own-timers.ts';
import { type LaneProducer, sizeInLane } from '../journal/lane.ts';
import { distance, GRANULE, RECORD_HEADER_SIZE } from '../journal/lane-layout.ts';
import {
  ACK_COUNT,
  AckField,
  type Acks,
  PIECE_HEADER_SIZE,
  requestAfter,
} from './client-protocol.ts';
import { aborted } from '../base/aborted.ts';
import { encodeCommit, encodedSizeOf } from './commit-transfer.ts';
import type { AppendResult, CommitResult } from './contract.ts';
import type { PreparedCommit } from './prepared-commit.ts';

/** One append or commit whose caller has not been answered. */
interface Call {
  readonly request: number;
  /** Undefined if it is answered as `append` answers; of the first part otherwise. */
  readonly stream: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: AppendResult | CommitResult) => void;
  readonly reject: (error: VarveError) => void;
}

/** A call that is not, or not wholly, in the lane. */
interface Queued {
  readonly call: Call;
  readonly commit: PreparedCommit;
  readonly size: number;
  /** Once it is sent in pieces: all of it, and how much has been sent. */
  bytes: Buffer | undefined;
  sentSize: number;
  /** Its signal aborted when part of it had been sent: the owner is told so in place of the rest. */
  isTakenBack: boolean;
}

export interface AppendSenderEvents {
  /** Appends whose signals have aborted after they were sent. */
  abortSent(requests: readonly number[]): void;
  /** So many more calls are in flight, or fewer. */
  inFlight(change: number): void;
  /** True if the owner takes nothing more. */
  isEnded(): boolean;
}

const CONTENT_AT = RECORD_HEADER_SIZE + PIECE_HEADER_SIZE;

export class AppendSender {
  readonly #lane: LaneProducer;
  readonly #events: AppendSenderEvents;
  /** Largest record: a few fit the lane, so that one is taken while the next one is made. */
  readonly #recordSizeMax: number;
  #lastRequest = 0;
  /** In the order of the calls. */
  readonly #sent = new Map<number, Call>();
  readonly #queue = new Fifo<Queued>();
  readonly #signals = new SignalListeners<number>((requests, signal) =>
    this.#abort(requests, signal),
  );
  #isPublishing = false;
  #observers: { readonly request: number; readonly resolve: () => void }[] = [];

  constructor(lane: LaneProducer, events: AppendSenderEvents) {
    this.#lane = lane;
    this.#events = events;
    this.#recordSizeMax = Math.floor(lane.capacity / 2 / GRANULE) * GRANULE;
  }

  /**
   * Sends a commit now, or when there is room and all before it have been sent. False if it has to wait: only then it is
   * still needed. With a `stream`, that of its first part, it is answered as `commit` answers.
   */
  submit(
    commit: PreparedCommit,
    stream: string | undefined,
    resolve: Call['resolve'],
    reject: Call['reject'],
  ): boolean {
    const { signal } = commit;
    const size = encodedSizeOf(commit);
    this.#lastRequest = requestAfter(this.#lastRequest);
    const call = { request: this.#lastRequest, stream, signal, resolve, reject };
    this.#events.inFlight(1);
    this.#signals.add(signal, call.request);
    if (this.#queue.count === 0 && this.#sendWhole(call, commit, size)) {
      return true;
    }
    this.#queue.push({ call, commit, size, bytes: undefined, sentSize: 0, isTakenBack: false });
    if (this.#queue.count === 1) {
      this.pump();
    }
    return false;
  }

  /** Sends those who wait, as far as there is room. */
  pump(): void {
    if (this.#events.isEnded()) {
      return;
    }
    for (let first = this.#queue.first(); first !== undefined; first = this.#queue.first()) {
      if (!this.#sendQueued(first)) {
        return;
      }
      this.#queue.shift();
    }
  }

  /** Commits to one stream that were decided and are as durable as was asked for. */
  acknowledged(acks: Acks): void {
    for (let at = 0; at < acks.length; at += ACK_COUNT) {
      const call = this.#take(acks[at + AckField.request]!);
      if (call === undefined) {
        continue;
      }
      const outcome = acks[at + AckField.isDuplicate] === 1 ? 'duplicate' : 'appended';
      const firstPosition = acks[at + AckField.firstPosition]!;
      const lastPosition = acks[at + AckField.lastPosition]!;
      const revision = acks[at + AckField.revision]!;
      const time = acks[at + AckField.time]!;
      // Of one stream, and its revisions have no gaps.
      const firstRevision = revision - (lastPosition - firstPosition);
      const { stream } = call;
      if (stream === undefined) {
        call.resolve({ outcome, firstPosition, lastPosition, firstRevision, revision, time });
      } else {
        const streams = [{ stream, firstRevision, revision }];
        call.resolve({ outcome, firstPosition, lastPosition, time, streams });
      }
    }
    this.#tellObservers();
  }

  succeeded(results: readonly { readonly request: number; readonly result: CommitResult }[]): void {
    for (const { request, result } of results) {
      this.#take(request)?.resolve(result);
    }
    this.#tellObservers();
  }

  failed(failures: readonly { readonly request: number; readonly error: PackedError }[]): void {
    for (const { request, error } of failures) {
      const call = this.#take(request);
      const failure = withApplied(asVarveError(unpackError(error), 'The append failed'), 'unknown');
      // The reason is this thread's: it may be anything, and is the same object here.
      call?.reject(failure.code === 'ABORTED' ? aborted(call.signal, 'no') : failure);
    }
    this.#tellObservers();
  }

  /** Nobody who waits now will be answered any more. */
  end(makeError: (applied: Applied) => VarveError): void {
    const queued = this.#queue.takeAll().filter(({ isTakenBack }) => !isTakenBack);
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    for (const call of sent) {
      this.#release(call).reject(makeError('unknown'));
    }
    for (const { call } of queued) {
      this.#release(call).reject(makeError('no'));
    }
    this.#tellObservers();
  }

  /** Resolves when every call made so far has been answered. */
  async allAnswered(): Promise<void> {
    const request = this.#lastRequest;
    const oldest = this.#oldest();
    if (oldest !== undefined && distance(oldest, request) <= 0) {
      await new Promise<void>((resolve) => this.#observers.push({ request, resolve }));
    }
  }

  #sendQueued(queued: Queued): boolean {
    const { call, commit, size } = queued;
    if (queued.isTakenBack) {
      return this.#sendPiece(call.request, undefined, 0, 0);
    }
    if (queued.bytes === undefined && sizeInLane(PIECE_HEADER_SIZE + size) <= this.#recordSizeMax) {
      return this.#sendWhole(call, commit, size, 'announce');
    }
    if (queued.bytes === undefined) {
      queued.bytes = Buffer.allocUnsafe(size);
      const end = encodeCommit(queued.bytes, viewOf(queued.bytes), 0, commit);
      assert(end === size, 'a commit takes what was measured');
    }
    const pieceSizeMax = this.#recordSizeMax - CONTENT_AT;
    while (queued.sentSize < size) {
      const end = Math.min(size, queued.sentSize + pieceSizeMax);
      const piece = queued.bytes.subarray(queued.sentSize, end);
      if (!this.#sendPiece(call.request, piece, size, piece.length)) {
        return false;
      }
      queued.sentSize = end;
    }
    this.#sent.set(call.request, call);
    return true;
  }

  /** False if there is no room. `announce`: the owner is to say when there is. */
  #sendWhole(call: Call, commit: PreparedCommit, size: number, announce?: 'announce'): boolean {
    const lane = this.#lane;
    const recordSize = sizeInLane(PIECE_HEADER_SIZE + size);
    if (recordSize > this.#recordSizeMax || !this.#hasRoom(recordSize, announce)) {
      return false;
    }
    const start = this.#begin(recordSize, call.request, size);
    const end = encodeCommit(lane.bytes, lane.view, start, commit);
    assert(end - start === size, 'a commit takes what was measured');
    this.#sent.set(call.request, call);
    this.#finish(recordSize);
    return true;
  }

  #sendPiece(
    request: number,
    piece: Uint8Array | undefined,
    totalSize: number,
    pieceSize: number,
  ): boolean {
    const recordSize = sizeInLane(PIECE_HEADER_SIZE + pieceSize);
    if (!this.#hasRoom(recordSize, 'announce')) {
      return false;
    }
    const start = this.#begin(recordSize, request, totalSize);
    if (piece !== undefined) {
      this.#lane.bytes.set(piece, start);
    }
    this.#finish(recordSize);
    return true;
  }

  #hasRoom(recordSize: number, announce: 'announce' | undefined): boolean {
    return (
      this.#lane.hasRoom(recordSize) ||
      (announce !== undefined && this.#lane.announceWaiting(recordSize))
    );
  }

  /** Returns where the content goes. */
  #begin(recordSize: number, request: number, totalSize: number): number {
    const lane = this.#lane;
    const at = lane.reserve(recordSize) + RECORD_HEADER_SIZE;
    lane.view.setUint32(at, request, true);
    lane.view.setUint32(at + 4, totalSize, true);
    return at + PIECE_HEADER_SIZE;
  }

  #finish(recordSize: number): void {
    const lane = this.#lane;
    lane.push(recordSize, lane.takeTicket());
    if (lane.unpublishedSize >= lane.capacity / 4) {
      lane.publish();
    } else if (!this.#isPublishing) {
      this.#isPublishing = true;
      // What is appended in one go is shown in one go, and wakes the owner once.
      ownTimers.queueMicrotask(() => {
        this.#isPublishing = false;
        if (lane.unpublishedSize > 0) {
          lane.publish();
        }
      });
    }
  }

  #abort(requests: ReadonlySet<number>, signal: AbortSignal): void {
    const hit = [...this.#queue].filter(({ call }) => requests.has(call.request));
    for (const queued of hit) {
      queued.isTakenBack = true;
    }
    this.#queue.takeWhere(({ isTakenBack, sentSize }) => isTakenBack && sentSize === 0);
    const sent = [...requests].filter((request) => this.#sent.has(request));
    if (sent.length > 0) {
      this.#events.abortSent(sent);
    }
    for (const { call } of hit) {
      this.#release(call).reject(aborted(signal, 'no'));
    }
    this.#tellObservers();
    // Whoever stood behind a large commit may fit.
    this.pump();
  }

  #take(request: number): Call | undefined {
    const call = this.#sent.get(request);
    if (call !== undefined) {
      this.#sent.delete(request);
      this.#release(call);
    }
    return call;
  }

  #release(call: Call): Call {
    this.#signals.remove(call.signal, call.request);
    this.#events.inFlight(-1);
    return call;
  }

  #oldest(): number | undefined {
    const [first] = this.#sent.keys();
    const queued = [...this.#queue].find(({ isTakenBack }) => !isTakenBack);
    return first ?? queued?.call.request;
  }

  #tellObservers(): void {
    if (this.#observers.length === 0) {
      return;
    }
    const oldest = this.#oldest();
    const isTold = (request: number): boolean =>
      oldest === undefined || distance(oldest, request) > 0;
    const told = this.#observers.filter(({ request }) => isTold(request));
    this.#observers = this.#observers.filter(({ request }) => !isTold(request));
    for (const { resolve } of told) {
      resolve();
    }
  }
}
