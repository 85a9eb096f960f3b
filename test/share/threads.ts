/** Threads of the tests that share a store: started, listened to, ended. */
import { Worker, type MessagePort } from 'node:worker_threads';
import type { AttachOptions, EventStore } from 'varve';
import { expect } from 'vitest';

interface Acknowledged {
  readonly number: number;
  readonly firstPosition: number;
  readonly revision: number;
}

export interface AppenderSettings {
  readonly name: string;
  /** Left out: until it is ended. */
  readonly count?: number;
  /** Appends made in one go. */
  readonly burst?: number;
  /** Of the texts in the events, in turn. */
  readonly sizes?: readonly number[];
  readonly options?: AttachOptions;
}

/** Runs fixtures/share-appender.js and keeps what it reports. */
export class Appender {
  readonly name: string;
  readonly acknowledged: Acknowledged[] = [];
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #reports = 0;
  #onReport: () => void = () => {};

  static start(store: EventStore, settings: AppenderSettings): Appender {
    return new Appender(store.share(), settings);
  }

  private constructor(port: MessagePort, settings: AppenderSettings) {
    this.name = settings.name;
    this.#worker = new Worker(new URL('../fixtures/share-appender.js', import.meta.url), {
      workerData: { port, ...settings },
      transferList: [port],
    });
    this.#worker.on('message', (report: { kind: string; appends?: Acknowledged[] }) => {
      this.acknowledged.push(...(report.appends ?? []));
      this.#reports += 1;
      this.#onReport();
    });
    this.#exited = new Promise((resolve, reject) => {
      this.#worker.on('error', reject);
      this.#worker.on('exit', () => resolve());
    });
    this.#exited.catch(() => {});
  }

  /** Resolves when it has reported so often. */
  async heardOf(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onReport = () => {
        if (this.#reports >= count) {
          resolve();
        }
      };
      this.#onReport();
    });
  }

  async exited(): Promise<void> {
    await this.#exited;
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  /** What it was told is so. */
  async check(store: EventStore): Promise<void> {
    for (const { number, firstPosition, revision } of this.acknowledged) {
      expect(revision).toBe(number * 2 + 1);
      if (number % 50 === 0) {
        const event = await store.get(firstPosition);
        expect(event).toMatchObject({
          stream: this.name,
          revision: revision - 1,
          data: { number },
        });
      }
    }
    const head = await store.streamHead(this.name);
    const last = this.acknowledged.at(-1);
    expect(head?.revision ?? -1).toBeGreaterThanOrEqual(last?.revision ?? -1);
  }
}

/** Runs fixtures/share-owner.js: a store in another thread. */
export class OwnerThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, (answer: { value?: unknown; error?: string }) => void>();
  #lastId = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
      this.#asked.get(answer.id)?.(answer);
    });
  }

  static async start(directory: string, options: object = {}): Promise<OwnerThread> {
    const worker = new Worker(new URL('../fixtures/share-owner.js', import.meta.url), {
      workerData: { directory, options },
    });
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    return new OwnerThread(worker);
  }

  async ask(command: string, argument?: unknown): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = await new Promise<{ value?: unknown; error?: string }>((resolve) => {
      this.#asked.set(id, resolve);
      this.#worker.postMessage({ id, command, argument });
    });
    if (answer.error !== undefined) {
      throw new Error(answer.error);
    }
    return answer.value;
  }

  async share(): Promise<MessagePort> {
    return (await this.ask('share')) as MessagePort;
  }

  /** Ends the thread where it is. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Lets the event loop turn until it is so. */
export async function turnsUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
