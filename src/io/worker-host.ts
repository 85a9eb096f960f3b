/**
 * Work that is ordered from a thread of its own, or done in the owner's event loop where there can't be one.
 *
 *   none ── first order ──▶ starting ── ready ──▶ running      the owner hands over what it gives away, then the orders kept so far
 *    ▲                       │    └─── failed ──▶ inline       nothing was given away: the orders so far and all later ones are obeyed here
 *    ├──── failed ───────────┘                                 the same, where inline isn't wanted: the orders so far are dropped
 *    └──── ended ◀── running                                   nobody knows how far it has come
 *
 * Where there is none, the next order starts another.
 */
import { assert } from '../base/assert.ts';
import { VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import {
  type ComponentModule,
  receiveComponent,
  sendComponent,
  type SentComponent,
} from './component.ts';
import type { FileSystem, HeldDirectory } from './file-system.ts';
import { fileSystemOf } from './file-system-of.ts';
import { heldFileSystem } from './held-folder.ts';
import { startThread, type Thread, type ThreadStarter } from './thread.ts';
import type { WorkerFile } from './worker-modules.ts';

/** Obeys orders, in this thread or on another one. */
export interface Worker<Order> {
  /** `transfer`: memory that may move to whoever obeys. */
  order(order: Order, transfer?: readonly ArrayBuffer[]): void;
  /** While held, the process does not end by itself. */
  hold(isHeld: boolean): void;
  /** Ends it. */
  close(): Promise<void>;
}

export interface WorkerPlan<Inline> {
  readonly file: WorkerFile;
  /** Cloned when the thread starts, but for shared memory. */
  readonly data: unknown;
  /** Says what the thread does, as in "The thread that writes the log has been ended". */
  readonly purpose: string;
  /** Hears why the work goes on in this thread; undefined: it doesn't, and a thread that can't be started is a failure. */
  readonly goInline: ((failure: VarveError) => void) | undefined;
  /** Makes what goes on then. */
  readonly startInline: () => Inline;
}

export interface WorkerOwner<Report> {
  /** The thread is ready. What the owner gives away is the first message, sent by `post`. */
  handOver?(post: (message: unknown, transfer: readonly ArrayBuffer[]) => void): void;
  /** A message is on its way to the thread. */
  posted?(): void;
  hear(report: Report): void;
  /** There is no thread, and never was one that could do anything. */
  failed(cause: VarveError): void;
  /** The thread is gone, or did what must not happen, or the owner failed at hearing of it. */
  ended(cause: unknown): void;
}

/** Said by a thread that failed outside of any order: it obeys nothing more. */
interface Defect {
  readonly report: 'defect';
  readonly cause: unknown;
}

type EarlyOrder<Order> = readonly [order: Order, transfer: readonly ArrayBuffer[]];

export class WorkerHost<Order, Report, Inline extends Worker<Order>> implements Worker<Order> {
  /** Obeys instead of a thread. */
  inline: Inline | undefined;
  readonly #plan: WorkerPlan<Inline>;
  readonly #owner: WorkerOwner<Report>;
  #thread: Thread | undefined;
  #state: 'none' | 'starting' | 'running' | 'ending' = 'none';
  /** Orders that wait for a thread to be ready. */
  #early: EarlyOrder<Order>[] = [];
  #isHeld = false;
  /** Resolves when no thread is starting. */
  #started: Promise<void> = Promise.resolve();
  #startIsOver: () => void = () => {};

  constructor(plan: WorkerPlan<Inline>, owner: WorkerOwner<Report>) {
    this.#plan = plan;
    this.#owner = owner;
  }

  /** False where an order would start a thread. */
  get isActive(): boolean {
    return this.inline !== undefined || this.#state !== 'none';
  }

  /** True while a thread obeys. */
  get isRunning(): boolean {
    return this.#state === 'running';
  }

  order(order: Order, transfer: readonly ArrayBuffer[] = []): void {
    if (this.inline !== undefined) {
      this.inline.order(order, transfer);
    } else if (this.#state === 'running') {
      this.#post(order, transfer);
    } else {
      this.#early.push([order, transfer]);
      if (this.#state === 'none') {
        this.#start();
      }
    }
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    (this.inline ?? this.#thread)?.hold(isHeld);
  }

  /** Resolves when it is known whether the thread could be started, if one was wanted. */
  whenStarted(): Promise<void> {
    return this.#started;
  }

  async close(): Promise<void> {
    await this.#started;
    // Something of a component's own may keep the thread alive. Its files are closed with it.
    await this.#thread?.terminate();
    await this.inline?.close();
  }

  #start(): void {
    this.#state = 'starting';
    this.#started = new Promise((resolve) => {
      this.#startIsOver = resolve;
    });
    this.#thread = startThread(this.#plan.file, this.#plan.data, {
      ready: () => this.#guarded(() => this.#begin()),
      failed: (cause) => this.#guarded(() => this.#continueWithout(cause)),
      message: (message) => this.#guarded(() => this.#hear(message as Report | Defect)),
      ended: (error) => this.#ended(error),
    });
    this.#thread.hold(this.#isHeld);
  }

  /** From here on the thread does the work. */
  #begin(): void {
    const early = this.#takeEarly('running');
    this.#owner.handOver?.((message, transfer) => this.#post(message, transfer));
    for (const [order, transfer] of early) {
      this.#post(order, transfer);
    }
  }

  #continueWithout(cause: VarveError): void {
    const { goInline, startInline } = this.#plan;
    const early = this.#takeEarly('none');
    if (goInline === undefined) {
      this.#owner.failed(cause);
      return;
    }
    reached('went on without a thread');
    this.inline = startInline();
    goInline(cause);
    for (const [order, transfer] of early) {
      this.inline.order(order, transfer);
    }
  }

  #takeEarly(state: 'running' | 'none'): readonly EarlyOrder<Order>[] {
    assert(this.#state === 'starting', 'a thread starts once');
    this.#state = state;
    const early = this.#early;
    this.#early = [];
    this.#startIsOver();
    return early;
  }

  #post(message: unknown, transfer: readonly ArrayBuffer[]): void {
    this.#thread!.post(message, transfer);
    this.#owner.posted?.();
  }

  #hear(message: Report | Defect): void {
    if (isDefect(message)) {
      this.#endWith(message.cause);
    } else if (this.#state === 'running') {
      this.#owner.hear(message);
    }
  }

  /** A failure in here is the owner's defect, as it is where both share a thread: nobody above would hear of it. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#endWith(error);
    }
  }

  /** The thread may still be there, and nothing that it says counts. */
  #endWith(cause: unknown): void {
    if (this.#state === 'running') {
      this.#state = 'ending';
      void this.#thread?.terminate();
    }
    this.#owner.ended(cause);
  }

  #ended(error: unknown): void {
    const isKnown = this.#state === 'ending';
    this.#state = 'none';
    this.#thread = undefined;
    if (!isKnown) {
      const message = `The thread ${this.#plan.purpose} has been ended.`;
      this.#owner.ended(
        error instanceof Error ? error : new VarveError('UNAVAILABLE', message, { cause: error }),
      );
    }
    // While it ended, more was ordered.
    if (this.#state === 'none' && this.#early.length > 0) {
      this.#start();
    }
  }
}

function isDefect(message: unknown): message is Defect {
  return (message as Partial<Defect> | undefined)?.report === 'defect';
}

/** How a thread gets its file system: the operating system's if no component is named. */
export interface WorkerFiles {
  readonly component: SentComponent | undefined;
  /** The store's folder, for the thread to work in. */
  readonly held: HeldDirectory | undefined;
}

export function sendFiles(
  fileSystem: ComponentModule | undefined,
  held: HeldDirectory | undefined,
): WorkerFiles {
  return { component: fileSystem && sendComponent(fileSystem), held };
}

/** In the thread. */
export async function receiveFiles({ component, held }: WorkerFiles): Promise<FileSystem> {
  return heldFileSystem(await fileSystemOf(component && receiveComponent(component)), held);
}

/**
 * In the thread: has it `prepare` everything that can fail in an environment, while the owner could still do without it, and says whether
 * it is ready; then has it `run`. Never rejects: what `run` throws, the owner hears of.
 */
export async function runWorker<Parts>(
  starter: ThreadStarter,
  prepare: () => Promise<Parts>,
  run: (parts: Parts) => void | Promise<void>,
): Promise<void> {
  let parts: Parts;
  try {
    parts = await prepare();
  } catch (error) {
    starter.failed(error);
    return;
  }
  starter.ready();
  try {
    await run(parts);
  } catch (cause) {
    starter.post({ report: 'defect', cause });
  }
}
