/**
 * Work as a coroutine that yields what it wants done: the same code runs on a thread of its own, where steps block, and inside
 * the caller's event loop, where they must not. Between two steps something more urgent may come.
 */
import type { Clock } from './clock.ts';
import type { File } from './file-system.ts';

export type Step =
  | {
      readonly operation: 'write';
      readonly file: File;
      readonly bytes: Uint8Array;
      readonly offset: number;
    }
  | {
      readonly operation: 'sync';
      readonly file: File;
      /** Work to do while the disk is busy; before it, where the sync blocks. */
      readonly meanwhile?: () => void;
    }
  /** Lets others go first. */
  | { readonly operation: 'pause' }
  /** Waits for news. Whoever runs the work knows of what, and goes on when there is some. */
  | { readonly operation: 'wait' };

/** Answers are the number of bytes written, 0 for every other step; failures are thrown into the coroutine. */
export type Work<Result> = Generator<Step, Result, number>;

export const pause: Step = { operation: 'pause' };
export const wait: Step = { operation: 'wait' };

/** Up to this size a write is a copy into the page cache, cheaper in place (4 µs) than by way of another thread. */
const WRITE_IN_PLACE_MAX = 64 * 1024;

/** Runs a piece of work to its end without blocking the event loop for longer than a small write. */
export async function runAsync<Result>(work: Work<Result>, clock: Clock): Promise<Result> {
  let step = work.next(0);
  while (step.done !== true) {
    let answer: number;
    try {
      answer = await performAsync(step.value, clock);
    } catch (error) {
      step = work.throw(error);
      continue;
    }
    step = work.next(answer);
  }
  return step.value;
}

/** Runs a piece of work to its end in place. */
export function runBlocking<Result>(work: Work<Result>): Result {
  let step = work.next(0);
  while (step.done !== true) {
    step = answerBlocking(work, step.value);
  }
  return step.value;
}

/**
 * Runs a piece of work in place, but for a sync with something to do meanwhile: that one leaves the thread free, and from
 * then on the result is a promise. For threads of their own: waiting in place is the fastest way to hear of the disk.
 */
export function runOverlapped<Result>(work: Work<Result>): Result | Promise<Result> {
  return continueOverlapped(work, work.next(0));
}

function continueOverlapped<Result>(
  work: Work<Result>,
  first: IteratorResult<Step, Result>,
): Result | Promise<Result> {
  let step = first;
  while (step.done !== true) {
    const { value } = step;
    if (value.operation === 'sync' && value.meanwhile !== undefined) {
      return syncAsync(value.file, value.meanwhile).then(
        (answer) => continueOverlapped(work, work.next(answer)),
        (error: unknown) => continueOverlapped(work, work.throw(error)),
      );
    }
    step = answerBlocking(work, value);
  }
  return step.value;
}

function answerBlocking<Result>(work: Work<Result>, step: Step): IteratorResult<Step, Result> {
  let answer: number;
  try {
    answer = performBlocking(step);
  } catch (error) {
    return work.throw(error);
  }
  return work.next(answer);
}

/** Does a step in place. Nothing is waited for but the disk. */
export function performBlocking(step: Step): number {
  if (step.operation === 'write') {
    return step.file.write(step.bytes, step.offset);
  }
  if (step.operation === 'sync') {
    step.meanwhile?.();
    step.file.sync();
  }
  return 0;
}

/** Does a step without blocking the event loop. A pause is a turn of it. */
export async function performAsync(step: Step, clock: Clock): Promise<number> {
  switch (step.operation) {
    case 'write':
      return step.bytes.length <= WRITE_IN_PLACE_MAX
        ? step.file.write(step.bytes, step.offset)
        : step.file.writeAsync(step.bytes, step.offset);
    case 'sync':
      return syncAsync(step.file, step.meanwhile);
    case 'pause':
      await clock.pause();
      break;
    case 'wait':
      break;
  }
  return 0;
}

async function syncAsync(file: File, meanwhile: (() => void) | undefined): Promise<number> {
  const synced = file.syncAsync();
  try {
    meanwhile?.();
  } finally {
    await synced;
  }
  return 0;
}

/** Writes all of `bytes` or throws: a short write is a failed write. */
export function* writeAll(file: File, bytes: Uint8Array, offset: number): Work<void> {
  const count = yield { operation: 'write', file, bytes, offset };
  if (count !== bytes.length) {
    throw shortWrite(file, count, bytes.length);
  }
}

function shortWrite(file: File, count: number, size: number): Error {
  const error = new Error(`only ${count} of ${size} bytes were written to ${file.path}`);
  // The operating system reports a full disk this way when part of the bytes still fits.
  return Object.assign(error, { code: 'ENOSPC' });
}
