/**
 * The only door to threads. A thread that blocks runs no event loop, so what it must hear it receives by asking.
 */
import { availableParallelism } from 'node:os';
import {
  isMainThread,
  markAsUntransferable,
  MessagePort,
  parentPort,
  receiveMessageOnPort,
  type TransferListItem,
  Worker,
  workerData,
} from 'node:worker_threads';
import { assert } from '../base/assert.ts';

/** A thread as seen by the one that started it. */
export interface Thread {
  /** Messages are structured clones; what is in `transfer` moves instead. */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** While held, the process does not end by itself. Not held at first. */
  hold(isHeld: boolean): void;
  /** Ends it wherever it is. */
  terminate(): Promise<void>;
}

export interface ThreadListener {
  message(message: unknown): void;
  /** It ended, by itself or not; `error` says why if it was an uncaught one. Called once, last. */
  ended(error: unknown): void;
}

/** The starter as seen by the thread. */
export interface ThreadStarter {
  readonly data: unknown;
  post(message: unknown): void;
  /** The next message, or undefined if none is there. Does not wait. */
  receive(): { readonly message: unknown } | undefined;
  /** Has the thread's event loop wait for messages, which keeps the thread alive. What came before is heard, too. */
  listen(listener: (message: unknown) => void): void;
}

/** True if this environment has threads and memory that they can share. */
export function canShareMemory(): boolean {
  return typeof SharedArrayBuffer === 'function' && typeof Worker === 'function';
}

/**
 * Memory that can't be given away to another thread: whoever posts a piece of it posts a copy, and the other pieces stay where they are.
 */
export function makeLastingMemory(size: number): ArrayBuffer {
  const memory = new ArrayBuffer(size);
  markAsUntransferable(memory);
  return memory;
}

const processorCount = availableParallelism();

/** True if two threads can run at the same time. */
export function hasSeveralProcessors(): boolean {
  return processorCount > 1;
}

/** Starts a thread with a module of its own. `data` is cloned, but for shared memory and what `transfer` moves. */
export function startThread(
  module: URL,
  data: unknown,
  transfer: readonly ArrayBuffer[],
  listener: ThreadListener,
): Thread {
  const worker = new Worker(module, {
    workerData: data,
    transferList: transfer as unknown as TransferListItem[],
    // The thread prints nothing. Unless they are asked for, Node connects its streams to the process's own, which makes those
    // non-blocking: a program's own synchronous writes to a pipe would begin to fail.
    stdout: true,
    stderr: true,
    ...inheritedFlags(),
  });
  let failure: unknown;
  worker.on('message', (message) => listener.message(message));
  worker.on('messageerror', (error) => {
    // What it said is lost, so nobody knows any more what it has done.
    failure ??= error;
    void worker.terminate();
  });
  worker.on('error', (error) => (failure ??= error));
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', () => {
      listener.ended(failure);
      resolve();
    });
  });
  // Order: after the listeners, for adding one would hold the process again.
  worker.unref();
  let isHeld = false;
  return {
    post: (message, moved = []) => worker.postMessage(message, moved),
    hold: (wanted) => {
      if (wanted === isHeld) {
        return;
      }
      isHeld = wanted;
      if (wanted) {
        worker.ref();
      } else {
        worker.unref();
      }
    },
    terminate: async () => {
      await worker.terminate();
      await ended;
    },
  };
}

/** `--input-type` says what a program given as text is; Node refuses it, inherited, for a thread that runs a file. */
function inheritedFlags(): { execArgv?: string[] } {
  const isRefused = process.execArgv.some((flag) => flag.startsWith('--input-type'));
  return isRefused ? { execArgv: [] } : {};
}

/** In a thread made by `startThread`: the way back. */
export function threadStarter(): ThreadStarter {
  assert(!isMainThread && parentPort instanceof MessagePort, 'this runs in a thread');
  const port = parentPort;
  return {
    data: workerData as unknown,
    post: (message) => port.postMessage(message),
    receive: () => receiveMessageOnPort(port),
    listen: (listener) => {
      port.on('message', listener);
    },
  };
}
