/** Stores that are small enough to damage in every bit, and what must hold after each damage. */
import { hash } from 'node:crypto';
import {
  audit,
  type AuditReport,
  CorruptionError,
  type EventStore,
  open,
  type StoreRecovery,
  type StoredEvent,
  VarveError,
} from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';

export const SEGMENT_0 = '/store/log/00000000000000000000.seg';
export const TAIL = '/store/log/tail';

/** A store at rest, and what it holds. */
export interface Victim {
  readonly disk: SimulatedFileSystem;
  readonly events: readonly StoredEvent[];
  /** The same as text, one line an event. */
  readonly text: string;
  readonly paths: readonly string[];
}

export async function openDisk(
  disk: SimulatedFileSystem,
  seed = 1,
  compression = 'deflate',
): Promise<EventStore> {
  const components = {
    fileSystem: disk,
    clock: new SimulatedClock({ tickMs: 1 }),
    random: new SeededRandom(seed),
  };
  return open('/store', { compression, compressionMinBytes: 64 }, components);
}

export async function eventsOf(store: EventStore): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of store.read()) {
    events.push(event);
  }
  return events;
}

/** One line an event, its fields in order of their names; bytes are told from arrays. */
export function textOf(events: readonly StoredEvent[]): string {
  return events.map((event) => lineOf(event)).join('\n');
}

export function lineOf(event: StoredEvent | undefined): string {
  const fields = Object.entries(event ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify(Object.fromEntries(fields), (_key, value: unknown) =>
    value instanceof Uint8Array ? { bytes: textOfBytes(value) } : value,
  );
}

function textOfBytes(bytes: Uint8Array): string {
  const { length } = bytes;
  return length > 256 ? `${length} ${hash('sha256', bytes)}` : Buffer.from(bytes).toString('hex');
}

/** A dozen events with everything an event can have. */
export async function appendDozen(store: EventStore): Promise<void> {
  await store.append('orders/1', [{ type: 'Placed', data: { total: 42 }, tags: ['customer:7'] }], {
    idempotencyKey: 'request-1',
    expectedRevision: 'none',
  });
  await store.append('orders/2', [{ type: 'Placed', data: null, id: 'order-2-placed' }]);
  await store.append('orders/1', [
    { type: 'Packed', data: new Uint8Array([0, 1, 2, 255]), metadata: { by: 'Zoë' } },
    { type: 'Sent', correlationId: 'c-1', causationId: 'order-2-placed', occurredAt: -5 },
  ]);
  await store.commit(
    [
      { stream: 'stock/é', events: [{ type: 'Reserved', data: { count: 3 } }] },
      { stream: 'orders/2', events: [{ type: 'Packed', data: [1, 2] }, { type: 'Sent' }] },
      { stream: 'stock/é', events: [{ type: 'Taken', data: 'x', tags: ['a', 'b', 'ü'] }] },
    ],
    { idempotencyKey: 'request-2' },
  );
  await store.append('long', [{ type: 'Text', data: 'compress me '.repeat(40) }]);
  await store.append('orders/1', [{ type: 'Returned', data: { total: -42 }, metadata: [1] }]);
  await store.append('stock/é', [{ type: 'Returned', data: { count: 3 }, id: 'last' }], {
    idempotencyKey: 'request-1',
    idempotencyScope: 'tenant-1',
  });
  await store.append('orders/2', [{ type: 'Closed', data: { done: true } }]);
}

export async function smallStore(): Promise<Victim> {
  const disk = new SimulatedFileSystem();
  const store = await openDisk(disk);
  await appendDozen(store);
  await store.close();
  return victimOf(disk);
}

/**
 * Two segments of a few events each: the process ends when the second segment has its name and no frame, and the store
 * is opened and written again.
 */
export async function twoSegmentStore(): Promise<Victim> {
  let cut: SimulatedFileSystem | undefined;
  let isRotated = false;
  const disk = new SimulatedFileSystem({
    onOperation: ({ kind, path, target }) => {
      isRotated ||= kind === 'rename' && path === '/store/log/spare' && target !== SEGMENT_0;
      if (isRotated && kind === 'syncDirectory') {
        cut ??= disk.clone();
      }
    },
  });
  const first = await openDisk(disk);
  await appendDozen(first);
  await first.append('big', [{ type: 'Big', data: noise(1024 * 1024, 6) }]);
  await first.close();
  expect(cut).toBeDefined();
  const second = await openDisk(cut!, 2);
  expect(second.recovery).toMatchObject({ sealed: [SEGMENT_0], quarantined: undefined });
  await second.append('orders/1', [{ type: 'Filed' }], { idempotencyKey: 'request-4' });
  await second.commit([
    { stream: 'orders/2', events: [{ type: 'Filed', data: { in: 'b' } }] },
    { stream: 'orders/3', events: [{ type: 'Placed', data: new Uint8Array(9) }] },
  ]);
  await second.append('orders/3', [{ type: 'Filed', id: 'filed-3' }]);
  await second.close();
  return victimOf(cut!);
}

/** Two segments, the first of them full as it is in real life. */
export async function largeStore(): Promise<Victim> {
  const disk = new SimulatedFileSystem();
  const store = await openDisk(disk);
  await appendDozen(store);
  for (let count = 0; count < 5; count += 1) {
    const data = noise(240_000, count);
    await store.append('blobs', [{ type: 'Blob', data }, { type: 'BlobStored' }]);
  }
  await store.append('orders/1', [{ type: 'Filed' }]);
  await store.close();
  return victimOf(disk);
}

/** Bytes that no codec makes smaller. */
export function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  new SeededRandom(seed).fill(bytes);
  return bytes;
}

export async function victimOf(disk: SimulatedFileSystem): Promise<Victim> {
  // What is derived may be damaged at will: tests of its own look at that.
  const paths = disk.paths().filter((path) => !path.includes('/derived/'));
  const probe = disk.clone();
  const store = await openDisk(probe, 3);
  expect(store.recovery).toMatchObject({ wasClosed: true, tail: 'exact', sealed: [] });
  const events = await eventsOf(store);
  await store.close();
  expect(probe.snapshotDigest()).toBe(disk.snapshotDigest());
  const report = await auditDisk(disk);
  expect(report).toMatchObject({ ok: true, findingCount: 0, events: events.length });
  return { disk, events, text: textOf(events), paths };
}

export async function auditDisk(disk: SimulatedFileSystem): Promise<AuditReport> {
  return audit('/store', {}, { fileSystem: disk, clock: new SimulatedClock() });
}

/** What came of opening a damaged store. */
export type Outcome =
  | { readonly refused: VarveError }
  | { readonly refused: undefined; readonly recovery: StoreRecovery };

/** Calls that change a disk, so far: cheap to compare, where a digest reads everything. */
export function changesOf({ counts }: SimulatedFileSystem): number {
  const { create, write, truncate, rename, link, remove } = counts;
  return create + write + truncate + rename + link + remove;
}

/**
 * Opens a damaged store, which may be changed by it. Holds after any damage to a store at rest: it is refused with a
 * code and nothing is changed, or every event is there as it was; and `audit` agrees on which of the two it is.
 */
export async function checkDamaged(
  disk: SimulatedFileSystem,
  victim: Pick<Victim, 'text'>,
): Promise<Outcome> {
  const before = changesOf(disk);
  const isSoundByAudit = await auditDisk(disk).then(
    (report) => report.ok,
    (error: unknown) => {
      checkCoded(error);
      return false;
    },
  );
  expectSame(changesOf(disk), before, 'audit changes nothing');
  let store: EventStore;
  try {
    store = await openDisk(disk, 4);
  } catch (error) {
    checkCoded(error);
    expectSame(changesOf(disk), before, 'a refused store is not changed');
    expectSame(disk.openCount, 0, 'a refused store has no open files');
    expectSame(isSoundByAudit, false, 'audit finds what open refuses');
    return { refused: error };
  }
  const { recovery } = store;
  const text = textOf(await eventsOf(store));
  await store.close();
  expectSame(text, victim.text, 'no event is changed, lost or invented');
  expectSame(isSoundByAudit, true, 'audit calls sound what open accepts');
  return { refused: undefined, recovery };
}

/** `expect` takes as long as opening a store: it is asked only when there is something to say. */
function expectSame(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) {
    expect(actual, what).toBe(expected);
  }
}

export function checkCoded(error: unknown): asserts error is VarveError {
  if (!(error instanceof VarveError) || error.kind === 'internal') {
    throw error;
  }
}

/** Checks that a refusal says where the damage is. */
export function expectLocated(refused: VarveError | undefined, file: string, offset: number): void {
  if (!(refused instanceof CorruptionError)) {
    expect(refused).toBeInstanceOf(CorruptionError);
    return;
  }
  expectSame(refused.file, file, 'the damaged file is named');
  if (file.endsWith('.seg') && !(refused.offset! <= offset)) {
    expect(refused.offset).toBeLessThanOrEqual(offset);
  }
}

/** Copies of a store, a new one only when the last was changed. */
export class Copies {
  readonly #victim: Victim;
  #copy: SimulatedFileSystem;
  #changes: number;

  constructor(victim: Victim) {
    this.#victim = victim;
    this.#copy = victim.disk.clone();
    this.#changes = changesOf(this.#copy);
  }

  take(): SimulatedFileSystem {
    if (changesOf(this.#copy) !== this.#changes) {
      this.#copy = this.#victim.disk.clone();
      this.#changes = changesOf(this.#copy);
    }
    return this.#copy;
  }
}

/** Says whether damage at an offset may be harmless, and if so how the store must report it. */
export type MayOpen = (offset: number) => Partial<StoreRecovery> | undefined;
export const never: MayOpen = () => undefined;

export function judge(
  outcome: { readonly refused: VarveError | undefined; readonly recovery?: StoreRecovery },
  path: string,
  offset: number,
  mayOpen: MayOpen,
): void {
  const reported = mayOpen(offset);
  if (reported === undefined) {
    expectLocated(outcome.refused, path, offset);
  } else {
    expect(outcome.recovery).toMatchObject(reported);
  }
}

export function framesEndOf(victim: Victim, path: string): number {
  const bytes = Buffer.from(victim.disk.readFile(path));
  return bytes.readUInt32LE(bytes.length - 128 + 40);
}
