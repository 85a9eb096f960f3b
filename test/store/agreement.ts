/** Whether opening a store, reading it in every way, and verifying it say the same of it. */
import {
  attach,
  type AuditReport,
  audit,
  type EventStore,
  type StoredEvent,
  VarveError,
} from 'varve';
import { SimulatedClock, type SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
import { checkCoded, openDisk } from './damage.ts';

/** What came of it: `refused` and why, or undefined where everything can be read. */
export interface Verdict {
  readonly refused: VarveError | undefined;
  /** Whether opening was refused already. */
  readonly opens: boolean;
  readonly report: AuditReport | undefined;
}

/**
 * Opens, reads and verifies. All must agree: either everything can be read, whichever way, and `verify` calls it whole, or it is
 * refused by both. `disk` may be changed.
 */
export async function checkAgreement(disk: SimulatedFileSystem, what: string): Promise<Verdict> {
  const audited = await auditPayloads(disk);
  const { refused, opens } = await openAndRead(disk, what);
  const isWhole = !(audited instanceof VarveError) && audited.ok;
  expect(isWhole, `${what}: ${refused?.message ?? 'everything was read'}`).toBe(
    refused === undefined,
  );
  if (audited instanceof VarveError) {
    expect(audited.code, what).toBe(refused!.code);
    return { refused, opens, report: undefined };
  }
  for (const { severity, file, offset } of audited.findings) {
    if (severity === 'damage') {
      expect(file, what).toContain('/store/');
      expect(offset, `${what} has an offset`).toBeTypeOf('number');
    }
  }
  return { refused, opens, report: audited };
}

async function auditPayloads(disk: SimulatedFileSystem): Promise<AuditReport | VarveError> {
  const components = { fileSystem: disk, clock: new SimulatedClock() };
  try {
    return await audit('/store', { payloads: true }, components);
  } catch (error) {
    checkCoded(error);
    return error;
  }
}

async function openAndRead(
  disk: SimulatedFileSystem,
  what: string,
): Promise<Omit<Verdict, 'report'>> {
  const before = disk.snapshotDigest();
  let store: EventStore;
  try {
    store = await openDisk(disk, 5);
  } catch (error) {
    checkCoded(error);
    expect(disk.snapshotDigest(), `${what}: a refused store is not changed`).toBe(before);
    return { refused: error, opens: false };
  }
  try {
    expect(store.recovery.quarantined, `${what}: nothing is quarantined`).toBeUndefined();
    const failures = await readInEveryWay(store);
    const codes = failures.map((error) => error?.code);
    expect(new Set(codes).size, `${what}: ${codes.join()}`).toBe(1);
    return { refused: failures[0], opens: true };
  } finally {
    await store.close();
  }
}

/** How each way of reading everything ends; undefined: it gives everything. */
async function readInEveryWay(store: EventStore): Promise<(VarveError | undefined)[]> {
  const client = await attach(store.share());
  try {
    return [
      await failureOf(store.read()),
      await failureOf(store.read({}, { direction: 'backwards' })),
      await failureOf(streamByStream(store)),
      await failureOf(oneByOne(store)),
      await failureOf(client.read()),
    ];
  } finally {
    await client.close();
  }
}

async function* streamByStream(store: EventStore): AsyncGenerator<StoredEvent> {
  for await (const entry of store.streams()) {
    if (entry.kind === 'stream') {
      yield* store.read({ stream: entry.stream });
    }
  }
}

async function* oneByOne(store: EventStore): AsyncGenerator<StoredEvent> {
  for (let position = 0; position < store.head; position += 1) {
    const event = await store.get(position);
    expect(await store.getById(event!.id)).toEqual(event);
    yield event!;
  }
}

async function failureOf(events: AsyncIterable<StoredEvent>): Promise<VarveError | undefined> {
  try {
    for await (const event of events) {
      expect(event.position).toBeTypeOf('number');
    }
    return undefined;
  } catch (error) {
    checkCoded(error);
    return error;
  }
}
