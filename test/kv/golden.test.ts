/** Key-value stores that earlier code has written: they open, hold what they held, and take more. See scripts/make-golden-kv.js. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KvStore, openKv } from 'varve/kv';
import type { SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';

type Entries = readonly (readonly [string, string])[];

interface GoldenModule {
  readonly makeGoldenKv: () => Promise<{ disk: SimulatedFileSystem; entries: Entries }>;
  readonly entriesOf: (kv: KvStore) => Entries;
}

const golden = join(import.meta.dirname, '..', 'golden');
const script = join(import.meta.dirname, '..', '..', 'scripts', 'make-golden-kv.js');
const { makeGoldenKv, entriesOf } = (await import(script)) as GoldenModule;
const root = mkdtempSync(join(tmpdir(), 'varve-golden-kv-'));
afterAll(() => rmSync(root, { recursive: true }));

const versions = readdirSync(golden).filter((name) => /^kv-v\d+$/.test(name));
/** Formats that were never released. */
const unreleased = ['kv-v1', 'kv-v2'];
const newest = versions.toSorted().at(-1)!;

function copyOf(version: string, purpose: string): string {
  const directory = join(root, `${version}-${purpose}`);
  cpSync(join(golden, version), directory, { recursive: true });
  return directory;
}

function filesOf(directory: string): Map<string, Buffer> {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(directory.length + 1), readFileSync(path)];
    }),
  );
}

function goldenEntries(version: string): Entries {
  return JSON.parse(readFileSync(join(golden, `${version}-entries.json`), 'utf8')) as Entries;
}

describe.each(unreleased)('a key-value store of the unreleased format %s', (version) => {
  it('is refused as such and left as it is', async () => {
    const directory = copyOf(version, 'refused');
    const refusal = { code: 'UNSUPPORTED_FORMAT' };
    await expect(openKv(directory)).rejects.toMatchObject(refusal);
    await expect(openKv(directory, { readOnly: true })).rejects.toMatchObject(refusal);
    const before = filesOf(join(golden, version));
    expect(before.size).toBeGreaterThan(4);
    const after = filesOf(directory);
    after.delete('LOCK');
    expect(after).toEqual(before);
  });
});

describe.each(versions.filter((version) => !unreleased.includes(version)))(
  'a key-value store of format %s',
  (version) => {
    it('holds what it held, is sound, and takes more', async () => {
      const kv = await openKv(copyOf(version, 'opened'));
      expect(entriesOf(kv)).toEqual(goldenEntries(version));
      expect(await kv.verify()).toMatchObject({ ok: true });
      await kv.put('new', 'entry');
      await kv.compact();
      expect(entriesOf(kv)).toHaveLength(goldenEntries(version).length + 1);
      await kv.close();
    });

    it('is read without being changed', async () => {
      const directory = copyOf(version, 'read');
      const kv = await openKv(directory, { readOnly: true });
      expect(entriesOf(kv)).toEqual(goldenEntries(version));
      await kv.close();
      expect(filesOf(directory)).toEqual(filesOf(join(golden, version)));
    });
  },
);

it('this code still writes the newest format byte for byte', async () => {
  const { disk, entries } = await makeGoldenKv();
  expect(entries).toEqual(goldenEntries(newest));
  const expected = filesOf(join(golden, newest));
  const written = disk.paths().map((path) => path.replace('/kv/', ''));
  expect(written.toSorted()).toEqual([...expected.keys()].toSorted());
  for (const name of written) {
    const isSame = expected.get(name)!.equals(Buffer.from(disk.readFile(`/kv/${name}`)));
    expect(isSame, name).toBe(true);
  }
});
