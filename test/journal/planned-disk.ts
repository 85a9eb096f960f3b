/** A real disk under a writer's thread that fails as planned, holds its syncs, and counts. The module is in fixtures. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoreComponents } from 'varve';
import { afterAll, expect } from 'vitest';

/** Words that all threads share; what each means is said in the fixture's terms. */
const cells = {
  /** Faults strike while it is 1. */
  armed: 0,
  /** Odd: the gate is closed, and syncs of frames block the writer's thread until it is opened. */
  gate: 1,
  /** Syncs that have begun to be held. */
  heldCount: 2,
  /** Syncs of frames that succeeded; those of them that were asynchronous. */
  syncCount: 3,
  overlappedCount: 4,
  frameWriteCount: 5,
  /** Faults that struck. */
  struckCount: 6,
  /** File systems made in threads of their own. */
  threadCount: 7,
  /** From here on one for each fault: the calls it is meant for. */
  firstFault: 8,
} as const;

export type CountName = Exclude<keyof typeof cells, 'armed' | 'gate' | 'firstFault'>;

export interface PlannedFault {
  readonly kind: 'create' | 'open' | 'write' | 'sync' | 'truncate' | 'rename' | 'syncDirectory';
  /** End of the path, or of the new name. */
  readonly path?: string;
  /** What is written; of a sync, what was written to the file before it. */
  readonly content?: 'frames' | 'zeros' | 'header' | 'footer' | 'tail';
  readonly where?: 'thread' | 'owner';
  /** How many such calls pass before, and how many are struck. Default: none, all. */
  readonly skip?: number;
  readonly count?: number;
  readonly does:
    | 'EIO'
    | 'ENOSPC'
    | 'EMFILE'
    | 'short'
    | 'throw'
    | 'throw later'
    | 'throw a string'
    | 'exit'
    | 'linger';
}

export class PlannedDisk {
  readonly #words = new Int32Array(new SharedArrayBuffer(256));
  readonly component: NonNullable<StoreComponents['fileSystem']>;

  /** The faults strike from when they are armed. */
  constructor(faults: readonly PlannedFault[] = []) {
    this.component = {
      module: new URL('../fixtures/planned-file-system.js', import.meta.url),
      options: { words: this.#words, cells, faults },
    };
  }

  arm(): void {
    Atomics.store(this.#words, cells.armed, 1);
  }

  disarm(): void {
    Atomics.store(this.#words, cells.armed, 0);
  }

  holdSyncs(): void {
    expect(Atomics.add(this.#words, cells.gate, 1) % 2).toBe(0);
  }

  releaseSyncs(): void {
    expect(Atomics.add(this.#words, cells.gate, 1) % 2).toBe(1);
    Atomics.notify(this.#words, cells.gate);
  }

  count(name: CountName): number {
    return Atomics.load(this.#words, cells[name]);
  }

  /** Resolves when a sync is held that was not among the first `known`. */
  async held(known = 0): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, cells.heldCount, known);
    // Nothing else keeps this process, and it doesn't matter: the test runner does.
    await wait.value;
    expect(this.count('heldCount')).toBeGreaterThan(known);
  }
}

const root = mkdtempSync(join(tmpdir(), 'varve-thread-'));
let folderCount = 0;

/** A new place for a store. */
export function newFolder(): string {
  folderCount += 1;
  return join(root, String(folderCount));
}

afterAll(() => rmSync(root, { recursive: true }));
