/**
 * The only door to threads. A thread that blocks runs no event loop, so what it must hear it receives by asking.
 *
 * A thread says when it is ready, which program it runs and of which version. Until then it has done nothing that matters and is given
 * nothing: that it could not be started is known for sure, and whoever wanted it may do the work another way.
 */
import { availableParallelism } from 'node:os';
import {
  isMainThread,
  markAsUntransferable,
  MessagePort,
  parentPort,
  receiveMessageOnPort,
  Worker,
  workerData,
} from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { packError, type PackedError, unpackError } from '../base/error-transfer.ts';
import { isExhausted, VarveError } from '../base/errors.ts';
import { VERSION } from '../base/version.ts';
import type { Timer } from './clock.ts';
import { nodeClock } from './node-clock.ts';
import type { WorkerFile } from './worker-modules.ts';

/** A thread as seen by the one that started it. */
export interface Thread {
  /** Messages are structured clones; what is in `transfer` moves instead. Only when the thread is ready. */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** While held, the process does not end by itself. Not held at first. */
  hold(isHeld: boolean): void;
  /** Ends it wherever it is. */
  terminate(): Promise<void>;
}

/** Nothing is called before `startThread` has returned. First comes `ready` or `failed`. */
export interface ThreadListener {
  /** It can do its work now. */
  ready(): void;
  /** It could not be started, and is ended; nothing follows. `cause` passes for a start failure. */
  failed(cause: VarveError): void;
  /** An error in its field `cause` is rebuilt as it was. */
  message(message: unknown): void;
  /** It ended, by itself or not; `error` says why if it was an uncaught one. Called once, last. */
  ended(error: unknown): void;
}

/** The starter as seen by the thread. */
export interface ThreadStarter {
  readonly data: unknown;
  /** Says, before anything else, that this thread can do its work. */
  ready(): void;
  /** Says instead why it can't. */
  failed(error: unknown): void;
  /** What stands in the field `cause` may be any error. */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** The next message, or undefined if none is there. Does not wait. */
  receive(): { readonly message: unknown } | undefined;
  /** Has the thread's event loop wait for messages, which keeps the thread alive. What came before is heard, too. */
  listen(listener: (message: unknown) => void): void;
}

/** What a thread says first. */
type StartReport =
  | { readonly start: 'ready'; readonly worker: string; readonly version: string }
  | { readonly start: 'failed'; readonly cause: PackedError };

/** Far longer than a thread takes to start on a busy machine (30 ms on an idle one): what takes as long has hung. */
const START_MS_MAX = 20_000;

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

/** True if this is what `ThreadListener.failed` is called with, or a copy from another thread. */
export function isStartFailure(error: unknown): error is VarveError {
  return error instanceof VarveError && error.details['worker'] !== undefined;
}

const YOUNG_SIZE_MAX_MIB = 4;

/** Starts a thread with a program of its own. `data` is cloned, but for shared memory. */
export function startThread(
  file: WorkerFile,
  data: unknown,
  listener: ThreadListener,
  startMsMax: number = START_MS_MAX,
): Thread {
  let worker: Worker;
  try {
    worker = new Worker(file.locate(), {
      workerData: data,
      // The thread prints nothing. Unless they are asked for, Node connects its streams to the process's own, which makes those
      // non-blocking: a program's own synchronous writes to a pipe would begin to fail.
      stdout: true,
      stderr: true,
      // Little of what a thread makes lives on. Node's default would let what doesn't gather to 48 MiB in each.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_SIZE_MAX_MIB },
      ...inheritedFlags(),
    });
  } catch (error) {
    // The owner is in the middle of something: it hears of this when the call has returned.
    void Promise.resolve().then(() => listener.failed(startFailure(file, error)));
    return { post: () => {}, hold: () => {}, terminate: async () => {} };
  }
  return new StartedThread(file, worker, listener, startMsMax);
}

class StartedThread implements Thread {
  readonly #file: WorkerFile;
  readonly #worker: Worker;
  readonly #listener: ThreadListener;
  readonly #ended: Promise<void>;
  #state: 'starting' | 'ready' | 'failed' = 'starting';
  #isHeld = false;
  readonly #timer: Timer;
  /** The first error that nobody caught. */
  #failure: unknown;

  constructor(file: WorkerFile, worker: Worker, listener: ThreadListener, startMsMax: number) {
    this.#file = file;
    this.#worker = worker;
    this.#listener = listener;
    worker.on('message', (message) => this.#hear(message));
    worker.on('messageerror', (error) => {
      // What it said is lost, so nobody knows any more what it has done.
      this.#failure ??= error;
      void worker.terminate();
    });
    worker.on('error', (error) => (this.#failure ??= error));
    this.#ended = new Promise<void>((resolve) => {
      worker.on('exit', () => {
        this.#end();
        resolve();
      });
    });
    // Order: after the listeners, for adding one would hold the process again.
    worker.unref();
    this.#timer = nodeClock.schedule(startMsMax, () => void this.#startTooLong());
  }

  post(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    assert(this.#state === 'ready', 'a thread is given something when it is ready');
    this.#worker.postMessage(message, transfer);
  }

  hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld) {
      return;
    }
    this.#isHeld = isHeld;
    if (isHeld) {
      this.#worker.ref();
    } else {
      this.#worker.unref();
    }
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
    await this.#ended;
  }

  #hear(message: unknown): void {
    if (this.#state === 'starting') {
      this.#hearFirst(message as StartReport);
    } else if (this.#state === 'ready') {
      this.#listener.message(unpacked(message));
    }
  }

  #hearFirst(report: StartReport): void {
    if (report?.start === 'failed') {
      this.#fail(unpackError(report.cause));
      return;
    }
    if (
      report?.start !== 'ready' ||
      report.worker !== this.#file.name ||
      report.version !== VERSION
    ) {
      const { name } = this.#file;
      this.#fail(
        new VarveError(
          'INVALID_ARGUMENT',
          `The file is not the one of the worker ${name} in version ${VERSION} of Varve.`,
          { details: { file: this.#file.locate().href } },
        ),
      );
      return;
    }
    this.#state = 'ready';
    this.#timer.cancel();
    this.#listener.ready();
  }

  /** Whoever blocked this thread for long had it miss the time, and the news: those are heard first. */
  async #startTooLong(): Promise<void> {
    await nodeClock.pause();
    if (this.#state === 'starting') {
      this.#fail(new VarveError('UNAVAILABLE', 'The thread has not become ready for a long time.'));
    }
  }

  #fail(cause: unknown): void {
    this.#state = 'failed';
    this.#timer.cancel();
    this.hold(false);
    // Something else may keep it alive. Its files are closed with it.
    void this.#worker.terminate();
    this.#listener.failed(startFailure(this.#file, cause));
  }

  #end(): void {
    if (this.#state === 'ready') {
      this.#listener.ended(this.#failure);
    } else if (this.#state === 'starting') {
      this.#fail(
        this.#failure ??
          new VarveError('UNAVAILABLE', 'The thread has been ended before it was ready.'),
      );
    }
  }
}

/** True if a thread could not be started for want of descriptors or memory: there may be some later. */
export function isStartShortage(error: VarveError): boolean {
  return error.details['isShort'] === true;
}

/** Node says it in the message of an error of its own, too. */
function isShortOfHandles(cause: unknown): boolean {
  return isExhausted(cause) || /\b(?:EMFILE|ENFILE|ENOMEM)\b/.test(String(cause));
}

function startFailure({ name }: WorkerFile, cause: unknown): VarveError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  // Node's messages may go on with a list of modules.
  const [line = ''] = reason.split('\n', 1);
  const isShort = isShortOfHandles(cause);
  const advice = isShort
    ? 'free file descriptors or memory, or raise the limit'
    : 'in a bundled program name its file in the component workers, or choose "auto", which goes on without threads';
  return new VarveError(
    'UNAVAILABLE',
    `The thread ${name} can't be started (${line.replace(/\.$/, '')}): ${advice}.`,
    { cause, details: { worker: name, isShort }, applied: 'no' },
  );
}

/** `--input-type` says what a program given as text is; Node refuses it, inherited, for a thread that runs a file. */
function inheritedFlags(): { execArgv?: string[] } {
  const isRefused = process.execArgv.some((flag) => flag.startsWith('--input-type'));
  return isRefused ? { execArgv: [] } : {};
}

/** In a thread made by `startThread`: the way back. `worker` is the name of the program that it runs. */
export function threadStarter(worker: string): ThreadStarter {
  assert(!isMainThread && parentPort instanceof MessagePort, 'this runs in a thread');
  const port = parentPort;
  const report = (first: StartReport): void => port.postMessage(first);
  return {
    data: workerData as unknown,
    ready: () => report({ start: 'ready', worker, version: VERSION }),
    failed: (error) => report({ start: 'failed', cause: packError(error) }),
    post: (message, transfer = []) => port.postMessage(packed(message), transfer),
    receive: () => receiveMessageOnPort(port),
    listen: (listener) => {
      port.on('message', listener);
    },
  };
}

/** A structured clone keeps neither class nor fields of an error. */
function packed(message: unknown): unknown {
  return hasCause(message) ? { ...message, cause: packError(message.cause) } : message;
}

function unpacked(message: unknown): unknown {
  return hasCause(message)
    ? { ...message, cause: unpackError(message.cause as PackedError) }
    : message;
}

function hasCause(message: unknown): message is { readonly cause: unknown } {
  return typeof message === 'object' && message !== null && 'cause' in message;
}
