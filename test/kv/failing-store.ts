/** A store on a simulated disk of which operations fail, or wait, at will. */
import { type KvOptions, type KvStore, openKv } from 'varve/kv';
import {
  FaultPlan,
  type Operation,
  SeededRandom,
  SimulatedClock,
  SimulatedFileSystem,
} from 'varve/testing';
import { expect } from 'vitest';
import { KV_STORE, Settling, textOfBytes, tinyOptions } from './wishes.ts';

export interface Setup {
  readonly disk: SimulatedFileSystem;
  readonly clock: SimulatedClock;
  /** What fails from now on. */
  failing: (operation: Operation) => boolean;
  open(options?: KvOptions, disk?: SimulatedFileSystem): Promise<KvStore>;
}

export function setUp(): Setup {
  const when = (operation: Operation): 'EIO' | undefined =>
    setup.failing(operation) ? 'EIO' : undefined;
  const disk = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
  const clock = new SimulatedClock({ tickMs: 1 });
  const setup: Setup = {
    disk,
    clock,
    failing: () => false,
    open: async (options = tinyOptions, fileSystem = disk) =>
      openKv(KV_STORE, options, { fileSystem, clock, random: new SeededRandom(1) }),
  };
  return setup;
}

export function isTable({ kind, path }: Operation): boolean {
  return path.endsWith('.tbl') && kind === 'create';
}

/** Holds the syncs of the log alone. */
export class LogGate {
  readonly fileSystem: SimulatedFileSystem;
  waitingCount = 0;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;

  constructor(disk: SimulatedFileSystem) {
    const file = (opened: File): File =>
      opened.path.includes('/log/')
        ? replaced(opened, 'syncAsync', async () => {
            this.waitingCount += this.#gate === undefined ? 0 : 1;
            await this.#gate;
            return opened.syncAsync();
          })
        : opened;
    const open: SimulatedFileSystem['open'] = (path, mode) => file(disk.open(path, mode));
    this.fileSystem = replaced(disk, 'open', open);
  }

  close(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#gate = undefined;
    this.#open?.();
  }
}

type File = ReturnType<SimulatedFileSystem['open']>;

/** The same object but for one method. */
function replaced<T extends object>(target: T, name: keyof T, method: unknown): T {
  return new Proxy(target, {
    get: (_, key) => {
      const found: unknown = key === name ? method : Reflect.get(target, key);
      return typeof found === 'function' && key !== name ? found.bind(target) : found;
    },
  });
}

/** Lets time pass until a promise is settled. */
export async function pump<T>({ clock }: Setup, promise: Promise<T>): Promise<T> {
  const settling = new Settling(promise);
  for (let turn = 0; !settling.isOver; turn += 1) {
    expect(turn, 'turns until a promise is settled').toBeLessThan(20_000);
    await clock.pause();
    clock.advance(10);
  }
  return promise;
}

export async function fill(store: KvStore, count: number, round = 0): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) => store.put(`k/${index}`, `${round} ${index}`)),
  );
}

export function expectFilled(store: KvStore, count: number, round = 0): void {
  for (let index = 0; index < count; index += 1) {
    expect(textOfBytes(store.getSync(`k/${index}`)!)).toBe(`${round} ${index}`);
  }
}

export function segments(disk: SimulatedFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith('.seg'));
}
