/** Derived data against the log, in both directions: whatever is wrong in the tables is found, and told apart from damage of the log. */
import { audit, type DerivedReport, type EventStore, open } from 'varve';
import { FaultPlan, SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import {
  Axis,
  decodeChunk,
  encodeCounts,
  positionAt,
  putHead,
  putPosition,
  putVarint,
} from '../../src/derived/format.ts';
import type { Row } from '../../src/derived/run-rows.ts';
import { buildIndex, type Lie } from './hand-built-index.ts';

const EVENT_COUNT = 60;
const NOTHING = new Uint8Array(0);

function openStore(disk: SimulatedFileSystem, indexMemoryBytes = 16 * 1024): Promise<EventStore> {
  const components = { fileSystem: disk, clock: new SimulatedClock(), random: new SeededRandom(1) };
  return open('/store', { indexMemoryBytes }, components);
}

async function append(store: EventStore, from: number, to: number): Promise<void> {
  for (let position = from; position < to; position += 1) {
    const event = { type: 'T', ...(position % 3 === 0 ? { id: `id-${position}` } : {}) };
    const scope = position % 4 === 0 ? { idempotencyScope: 'scope' } : {};
    const key = { idempotencyKey: `key-${position}`, ...scope };
    await store.append(`s/${position % 5}`, [event], position % 2 === 0 ? key : {});
  }
}

async function filledDisk(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem();
  const store = await openStore(disk);
  await append(store, 0, EVENT_COUNT);
  await store.settled();
  await store.close();
  return disk;
}

async function derivedOf(disk: SimulatedFileSystem): Promise<DerivedReport | undefined> {
  const digest = disk.snapshotDigest();
  const report = await audit('/store', {}, { fileSystem: disk, clock: new SimulatedClock() });
  expect(disk.snapshotDigest()).toBe(digest);
  expect(report).toMatchObject({ ok: true, findingCount: 0 });
  return report.derived;
}

/** The reports of a closed store and of an open one, which are the same, for an index of rows that lie. */
async function reportOf(lie: Lie, borders = [20, 40]): Promise<DerivedReport> {
  const disk = await filledDisk();
  await buildIndex(disk, borders, lie);
  const report = await derivedOf(disk);
  const store = await openStore(disk, 64 * 1024 * 1024);
  expect((await store.verify()).derived).toEqual(report);
  await store.settled();
  expect((await store.verify()).derived).toMatchObject({ ok: true });
  await store.close();
  expect(await derivedOf(disk)).toMatchObject({ ok: true });
  return report!;
}

const axisOf = ([key]: Row): number => key[0]!;

/** Changes the nth row of an axis, of the run that begins at position 20. */
function changing(
  axis: number,
  nth: number,
  change: (row: Row, rows: readonly Row[]) => readonly Row[],
): Lie {
  let run = 0;
  return (rows) => {
    run += 1;
    if (run !== 2) {
      return rows;
    }
    const row = rows.filter((each) => axisOf(each) === axis)[nth]!;
    return rows.flatMap((each) => (each === row ? change(row, rows) : [each]));
  };
}

const removing = (axis: number, nth: number): Lie => changing(axis, nth, () => []);

function moved([key, value]: Row, by: number): Row {
  const other = key.slice();
  putPosition(other, other.length - 6, positionAt(key, key.length - 6) + by);
  return [other, value];
}

const withoutHead: Lie = (rows) =>
  rows.filter(([key]) => key[0] !== Axis.head || !Buffer.from(key).includes('s/3'));

const places = { firstPosition: 0, lastPosition: 39 };

describe('derived data that is as it must be', () => {
  it('is reported whole, closed and open, with what it covers', async () => {
    const disk = await filledDisk();
    const report = await derivedOf(disk);
    expect(report).toMatchObject({ ok: true, problems: [], problemCount: 0 });
    expect(report!.covered).toBeGreaterThanOrEqual(EVENT_COUNT - 8);
    expect(report!.entries).toBeGreaterThan(50);
    expect(await reportOf((rows) => rows)).toMatchObject({ ok: true, covered: 40 });
  });

  it('is undefined where there is none, and empty where it covers nothing', async () => {
    const disk = await filledDisk();
    for (const path of disk.paths().filter((each) => each.startsWith('/store/derived/'))) {
      disk.remove(path);
    }
    expect(await derivedOf(disk)).toBeUndefined();
    const store = await openStore(disk, 64 * 1024 * 1024);
    expect((await store.verify()).derived).toEqual({
      ok: true,
      covered: 0,
      entries: 0,
      problems: [],
      problemCount: 0,
    });
    await store.close();
    const readOnly = await open('/store', { readOnly: true }, { fileSystem: disk });
    expect((await readOnly.verify()).derived).toMatchObject({ ok: true, covered: 0 });
    await readOnly.close();
  });

  it('is checked while the store goes on', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openStore(disk);
    await append(store, 0, 200);
    const reports = [];
    for (let round = 0; round < 5; round += 1) {
      const verifying = store.verify();
      await append(store, 200 + round * 40, 240 + round * 40);
      reports.push(await verifying);
    }
    for (const report of reports) {
      expect(report).toMatchObject({ ok: true, derived: { ok: true } });
    }
    await store.close();
  });

  it('is let go of when the store is closed or the call is aborted', async () => {
    const disk = await filledDisk();
    const store = await openStore(disk);
    const controller = new AbortController();
    const aborted = store.verify({ signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    const verifying = store.verify();
    const closed = store.close();
    await expect(verifying).rejects.toMatchObject({ code: 'CLOSED' });
    await closed;
  });
});

describe('derived data that says something else than the log', () => {
  const wrong: readonly [string, Lie, object][] = [
    ['a key that is missing', removing(Axis.key, 3), { entries: 'keys', ...places }],
    ['an id that is missing', removing(Axis.id, 3), { entries: 'ids', ...places }],
    [
      'a key that was invented',
      changing(Axis.key, 3, (row) => {
        const key = row[0].slice();
        key[4]! ^= 1;
        return [row, [key, NOTHING]];
      }),
      { entries: 'keys', ...places },
    ],
    [
      'a key of another position',
      changing(Axis.key, 3, (row) => [moved(row, -1)]),
      { entries: 'keys', ...places },
    ],
    [
      'an id of a position that is not covered',
      changing(Axis.id, 3, (row) => [moved(row, 1_000)]),
      { entries: 'ids', what: 'an entry can not be what was written' },
    ],
    [
      "a stream's events that are missing",
      removing(Axis.posting, 2),
      { entries: 'events', ...places },
    ],
    [
      "a stream's event with another position",
      changing(Axis.posting, 2, ([key, value]) => {
        const positions = decodeChunk(value, 0, value.length)!;
        const bytes = new Uint8Array(64);
        let at = putVarint(bytes, 0, positions.length);
        at = putVarint(bytes, at, positions[0]! - 1);
        at = putVarint(bytes, at, positions[1]! - positions[0]!);
        for (let nth = 2; nth < positions.length; nth += 1) {
          at = putVarint(bytes, at, positions[nth]! - positions[nth - 1]! - 1);
        }
        return [[key, bytes.slice(0, at)]];
      }),
      { entries: 'events', ...places },
    ],
    [
      'a chunk that is none',
      changing(Axis.posting, 2, ([key]) => [[key, Uint8Array.of(0)]]),
      { entries: 'events', stream: 's/2' },
    ],
    [
      'a head with an older revision',
      changing(Axis.head, 1, ([key]) => {
        const bytes = new Uint8Array(16);
        return [[key, bytes.slice(0, putHead(bytes, 6, 31))]];
      }),
      { entries: 'heads', stream: 's/1' },
    ],
    [
      'a head with another position',
      changing(Axis.head, 1, ([key]) => {
        const bytes = new Uint8Array(16);
        return [[key, bytes.slice(0, putHead(bytes, 7, 37))]];
      }),
      { entries: 'heads', stream: 's/1' },
    ],
    ['a head that is older', removing(Axis.head, 1), { entries: 'heads', stream: 's/1' }],
    [
      'a head of a stream that never was',
      changing(Axis.head, 1, (row) => [
        row,
        [Uint8Array.of(Axis.head, 0x74), Uint8Array.of(0, 30)],
      ]),
      { entries: 'heads', stream: 't' },
    ],
    [
      'counts that are others',
      changing(Axis.counts, 0, ([key]) => [[key, encodeCounts({ streams: 5, keys: 21, ids: 14 })]]),
      { entries: 'counts' },
    ],
    [
      'an entry of no known kind',
      changing(Axis.posting, 2, (row) => [row, [Uint8Array.of(9, 9), NOTHING]]),
      { entries: 'counts', what: 'there are entries of no known kind' },
    ],
  ];

  it.each(wrong)('%s is found, located and mended', async (_, lie, found) => {
    const report = await reportOf(lie);
    expect(report).toMatchObject({ ok: false, covered: 40 });
    expect(report.problems).toEqual(
      expect.arrayContaining([expect.objectContaining(found as Record<string, unknown>)]),
    );
    expect(report.problemCount).toBe(report.problems.length);
  });

  it('a stream without a head is found', async () => {
    expect((await reportOf(withoutHead)).problems).toEqual(
      expect.arrayContaining([
        { what: 'the stream has events and no head', entries: 'heads', stream: 's/3' },
      ]),
    );
  });
});

describe('tables that are damaged', () => {
  it('are named with file and offset, and the log is whole all the same', async () => {
    const disk = await filledDisk();
    const tables = disk.paths().filter((path) => path.endsWith('.tbl'));
    const bytes = disk.readFile(tables[0]!);
    bytes[40]! ^= 1;
    disk.writeFile(tables[0]!, bytes);
    const report = await derivedOf(disk);
    expect(report).toMatchObject({ ok: false, problemCount: 1 });
    expect(report!.problems[0]).toMatchObject({ entries: 'tables', file: tables[0] });
    const store = await openStore(disk);
    expect((await store.verify()).ok).toBe(true);
    await store.settled();
    expect((await store.verify()).derived).toMatchObject({ ok: true });
    await store.close();
  });

  it('that can not be read are reported, and are not taken for damaged', async () => {
    let fails = false;
    const faults = new FaultPlan({
      when: ({ kind, path }) =>
        fails && kind === 'read' && path.endsWith('.tbl') ? 'EIO' : undefined,
    });
    const disk = (await filledDisk()).clone({ faults });
    const store = await openStore(disk);
    fails = true;
    const report = await store.verify();
    expect(report).toMatchObject({ ok: true, derived: { ok: false } });
    expect(new Set(report.derived!.problems.map(({ entries }) => entries))).toEqual(
      new Set(['unread']),
    );
    fails = false;
    expect(await store.verify()).toMatchObject({ ok: true, derived: { ok: true } });
    expect(store.stats().index.work.runs).toBe(0);
    await store.close();
    fails = true;
    const closed = await audit('/store', {}, { fileSystem: disk });
    expect(closed).toMatchObject({ ok: true, derived: { ok: false, problemCount: 1 } });
    expect(closed.derived!.problems[0]).toMatchObject({ entries: 'unread' });
  });

  it('that can not be opened are reported with the reason', async () => {
    for (const [name, reason] of [
      ['.tbl', 'the table is missing'],
      ['manifest', 'the manifest is missing beside tables'],
    ] as const) {
      const disk = await filledDisk();
      disk.remove(disk.paths().find((path) => path.endsWith(name))!);
      const report = await derivedOf(disk);
      expect(report).toMatchObject({ ok: false, covered: 0, problemCount: 1 });
      expect(report!.problems[0]!.what).toContain(reason);
    }
  });
});

it('damage of the log is no damage of derived data, and what can not be compared is told', async () => {
  const disk = await filledDisk();
  const path = disk.paths().find((each) => each.endsWith('.seg'))!;
  const bytes = disk.readFile(path);
  bytes[800]! ^= 1;
  disk.writeFile(path, bytes);
  const { ok, derived } = await audit('/store', {}, { fileSystem: disk });
  expect(ok).toBe(false);
  expect(derived).toMatchObject({ ok: false, problemCount: 1 });
  expect(derived!.problems[0]).toMatchObject({ entries: 'log', firstPosition: 0 });
});

it('derived data of more than the log holds is evidence of lost events, for open as for verify', async () => {
  const disk = await filledDisk();
  const older = disk.clone();
  const store = await openStore(disk);
  for (let count = 0; count < 32; count += 1) {
    await store.append('s/1', [{ type: 'Lost' }]);
  }
  await store.settled();
  await store.close();
  for (const path of older.paths().filter((each) => each.startsWith('/store/log/'))) {
    disk.writeFile(path, older.readFile(path));
  }
  const report = await audit('/store', {}, { fileSystem: disk });
  expect(report).toMatchObject({ ok: false, findingCount: 1, derived: { ok: false } });
  expect(report.findings[0]).toMatchObject({ severity: 'damage', position: EVENT_COUNT });
  expect(report.findings[0]!.reason).toContain('they are lost');
  await expect(openStore(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
});

it('checks of wrong derived data at the same time disturb neither each other nor the store', async () => {
  const disk = await filledDisk();
  await buildIndex(disk, [20, 40], removing(Axis.key, 3));
  const store = await openStore(disk, 64 * 1024 * 1024);
  const checks = Array.from({ length: 3 }, () => store.verify());
  checks.push(store.verify({ payloads: true }));
  await append(store, EVENT_COUNT, EVENT_COUNT + 20);
  for (const report of await Promise.all(checks)) {
    expect(report.ok).toBe(true);
  }
  await store.settled();
  expect((await store.verify()).derived).toMatchObject({ ok: true });
  await store.close();
});

it('derived data of a copy that went another way is found by its mark', async () => {
  const disk = await filledDisk();
  const other = disk.clone();
  for (const [each, type] of [
    [disk, 'One'],
    [other, 'Two'],
  ] as const) {
    const store = await openStore(each);
    for (let count = 0; count < 32; count += 1) {
      await store.append('s/1', [{ type }]);
    }
    await store.settled();
    await store.close();
  }
  for (const path of disk.paths().filter((each) => each.startsWith('/store/derived/'))) {
    disk.remove(path);
  }
  for (const path of other.paths().filter((each) => each.startsWith('/store/derived/'))) {
    disk.writeFile(path, other.readFile(path));
  }
  const report = await derivedOf(disk);
  expect(report).toMatchObject({ ok: false, problemCount: 1 });
  expect(report!.problems[0]).toMatchObject({
    entries: 'log',
    what: 'the last event that is covered is another one in the log',
  });
});
