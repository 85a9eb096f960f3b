/** Stores that earlier code has written: they open, hold what they held, and take more. See scripts/make-golden.js. */
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, type EventStore, open, type StoredEvent } from 'varve';
import type { SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { varveIn } from '../cli/run-varve.ts';

interface GoldenModule {
  readonly newest: Readonly<
    Record<string, () => Promise<{ disk: SimulatedFileSystem; events: StoredEvent[] }>>
  >;
  readonly eventsOf: (store: EventStore) => Promise<StoredEvent[]>;
}

const golden = join(import.meta.dirname, '..', 'golden');
const script = join(import.meta.dirname, '..', '..', 'scripts', 'make-golden.js');
const { newest, eventsOf } = (await import(script)) as GoldenModule;
const root = mkdtempSync(join(tmpdir(), 'varve-golden-'));
afterAll(() => rmSync(root, { recursive: true }));

const versions = readdirSync(golden).filter(
  (name) => /^v\d+(?:-\w+)?$/.test(name) && !name.endsWith('.json'),
);
/** Formats that were never released: this version says so, and takes what an export of theirs holds. */
const unreleased = ['v1'];
const varve = varveIn(root);

describe.each(unreleased)('a store of the unreleased format %s', (version) => {
  const expected = goldenEvents(version);

  it('is refused as such and left as it is', async () => {
    const directory = join(root, version);
    cpSync(join(golden, version), directory, { recursive: true });
    const refusal = { code: 'UNSUPPORTED_FORMAT' };
    await expect(open(directory)).rejects.toMatchObject(refusal);
    await expect(open(directory, { readOnly: true })).rejects.toMatchObject(refusal);
    await expect(audit(directory)).rejects.toMatchObject(refusal);
    await expect(open(directory)).rejects.toThrow('export it and import the events here');
    for (const name of filesOf(version)) {
      const bytes = readFileSync(join(golden, version, name));
      expect(readFileSync(join(directory, name)).equals(bytes), name).toBe(true);
    }
  });

  it('comes over by its export: the same events, ids, revisions, commits and keys', async () => {
    const lines = expected.map(({ data, ...event }) => {
      const hex = (data as { bytes?: string } | null)?.bytes;
      return JSON.stringify({
        ...event,
        ...(hex === undefined
          ? { data }
          : { dataBase64: Buffer.from(hex, 'hex').toString('base64') }),
      });
    });
    writeFileSync(join(root, `${version}.ndjson`), `${lines.join('\n')}\n`);
    expect(varve('import', `${version}.ndjson`, `${version}-imported`)).toMatchObject({
      status: 0,
    });
    const store = await open(join(root, `${version}-imported`));
    const events = JSON.parse(JSON.stringify(await eventsOf(store))) as StoredEvent[];
    await store.close();
    const timeless = { time: 0 };
    expect(events.map((event) => ({ ...event, ...timeless }))).toEqual(
      expected.map((event) => ({ ...event, ...timeless })),
    );
  });
});

describe.each(versions.filter((version) => !unreleased.includes(version)))(
  'a store of format %s',
  (version) => {
    const expected = goldenEvents(version);

    it('is sound by audit', async () => {
      const directory = join(root, `${version}-audited`);
      cpSync(join(golden, version), directory, { recursive: true });
      expect(await audit(directory)).toMatchObject({
        ok: true,
        findingCount: 0,
        events: expected.length,
      });
    });

    it('opens as it was closed, holds what it held, and takes more', async () => {
      const directory = join(root, version);
      cpSync(join(golden, version), directory, { recursive: true });
      const store = await open(directory);
      expect(store.recovery).toMatchObject({ wasClosed: true, tail: 'exact', sealed: [] });
      expect(JSON.parse(JSON.stringify(await eventsOf(store)))).toEqual(expected);
      for (const { id, position } of expected) {
        expect(await store.getById(id)).toMatchObject({ position });
      }
      for (const { idempotencyKey, idempotencyScope, position } of expected) {
        if (idempotencyKey !== undefined) {
          const scope = idempotencyScope === undefined ? {} : { idempotencyScope };
          const found = await store.findCommit({ idempotencyKey, ...scope });
          expect(found).toMatchObject({ firstPosition: position });
        }
      }
      const repeat = { type: 'Placed', data: { total: 42.5 }, tags: ['customer:7'] };
      const key = { idempotencyKey: 'request-1' };
      const answer = await store.append('orders/1', [repeat], key);
      expect(answer).toMatchObject({ outcome: 'duplicate', firstPosition: 0, revision: 0 });
      const added = await store.append('orders/1', [repeat], { expectedRevision: 'exists' });
      expect(added).toMatchObject({ outcome: 'appended', firstPosition: expected.length });
      expect(await store.verify()).toMatchObject({ ok: true, findingCount: 0 });
      await store.close();
      expect(await audit(directory)).toMatchObject({ ok: true, events: expected.length + 1 });
    });
  },
);

describe('the newest format', () => {
  // If this fails, the bytes on disk have changed: see scripts/make-golden.js for what to do.
  it.each(Object.keys(newest))('is written as it was, byte for byte: %s', async (version) => {
    const { disk, events } = await newest[version]!();
    const names = disk.paths().map((path) => path.replace('/store/', ''));
    expect(filesOf(version)).toHaveLength(names.length);
    for (const name of names) {
      const bytes = readFileSync(join(golden, version, name));
      expect(bytes.equals(disk.readFile(`/store/${name}`)), name).toBe(true);
    }
    const json = readFileSync(join(golden, `${version}-events.json`), 'utf8');
    expect(`${JSON.stringify(events, undefined, 2)}\n`).toBe(json);
  });
});

function goldenEvents(version: string): readonly StoredEvent[] {
  const json = readFileSync(join(golden, `${version}-events.json`), 'utf8');
  return JSON.parse(json) as StoredEvent[];
}

function filesOf(version: string): string[] {
  return readdirSync(join(golden, version), { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(golden, version, name)).isFile(),
  );
}
