import type { File } from '../io/file-system.ts';

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
  | { readonly operation: 'sync'; readonly file: File };

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
    const request = step.value;
    let answer = 0;
    try {
      if (request.operation === 'write') {
        answer = request.file.write(request.bytes, request.offset);
      } else {
        request.file.sync();
      }
    } catch (error) {
      step = work.throw(error);
      continue;
    }
    step = work.next(answer);
  }
  return step.value;
}

async function perform(request: DiskRequest): Promise<number> {
  if (request.operation === 'sync') {
    await request.file.syncAsync();
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
