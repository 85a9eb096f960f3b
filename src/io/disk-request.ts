import type { File } from './file-system.ts';

/**
 * What the writer asks of the disk. Writer code is a coroutine that yields these, so that the same code runs on a thread
 * of its own, where requests block, and inside the caller's event loop, where they must not.
 */
export type DiskRequest =
  | {
      readonly operation: 'write';
      readonly file: File;
      readonly bytes: Uint8Array;
      readonly offset: number;
    }
  | {
      readonly operation: 'sync';
      readonly file: File;
      /** Work to do while the disk is busy. */
      readonly meanwhile?: () => void;
    };

/** Answers are the number of bytes written, 0 for a sync; failures are thrown into the coroutine. */
export type DiskWork<Result> = Generator<DiskRequest, Result, number>;

/** Up to this size a write is a copy into the page cache, cheaper in place (4 µs) than by way of another thread. */
const WRITE_IN_PLACE_MAX = 64 * 1024;

/** Runs a piece of work to its end without blocking the event loop for longer than a small write. */
export async function runAsync<Result>(work: DiskWork<Result>): Promise<Result> {
  let step = work.next(0);
  while (step.done !== true) {
    let answer: number;
    try {
      answer = await perform(step.value);
    } catch (error) {
      step = work.throw(error);
      continue;
    }
    step = work.next(answer);
  }
  return step.value;
}

/** Runs a piece of work to its end in place. */
export function runBlocking<Result>(work: DiskWork<Result>): Result {
  let step = work.next(0);
  while (step.done !== true) {
    step = performBlocking(work, step.value);
  }
  return step.value;
}

/**
 * Runs a piece of work in place, but for a sync with something to do meanwhile: that one leaves the thread free, and from
 * then on the result is a promise. For threads of their own: waiting in place is the fastest way to hear of the disk.
 */
export function runOverlapped<Result>(work: DiskWork<Result>): Result | Promise<Result> {
  return goOnOverlapped(work, work.next(0));
}

function goOnOverlapped<Result>(
  work: DiskWork<Result>,
  first: IteratorResult<DiskRequest, Result>,
): Result | Promise<Result> {
  let step = first;
  while (step.done !== true) {
    const request = step.value;
    if (request.operation === 'sync' && request.meanwhile !== undefined) {
      return perform(request).then(
        (answer) => goOnOverlapped(work, work.next(answer)),
        (error: unknown) => goOnOverlapped(work, work.throw(error)),
      );
    }
    step = performBlocking(work, request);
  }
  return step.value;
}

function performBlocking<Result>(
  work: DiskWork<Result>,
  request: DiskRequest,
): IteratorResult<DiskRequest, Result> {
  let answer = 0;
  try {
    if (request.operation === 'write') {
      answer = request.file.write(request.bytes, request.offset);
    } else {
      request.file.sync();
    }
  } catch (error) {
    return work.throw(error);
  }
  return work.next(answer);
}

async function perform(request: DiskRequest): Promise<number> {
  if (request.operation === 'sync') {
    const synced = request.file.syncAsync();
    try {
      request.meanwhile?.();
    } finally {
      await synced;
    }
    return 0;
  }
  if (request.bytes.length <= WRITE_IN_PLACE_MAX) {
    return request.file.write(request.bytes, request.offset);
  }
  return request.file.writeAsync(request.bytes, request.offset);
}

/** Writes all of `bytes` or throws: a short write is a failed write. */
export function* writeAll(file: File, bytes: Uint8Array, offset: number): DiskWork<void> {
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
