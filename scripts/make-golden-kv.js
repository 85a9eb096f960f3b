/**
 * Writes test/golden/kv-v3: a key-value store as this code writes it, and test/golden/kv-v3-entries.json: what is in it. Used as
 * make-golden.js is, after a change of the formats of tables or of the manifest.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openKv } from 'varve/kv';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';

const golden = fileURLToPath(new URL('../test/golden/', import.meta.url));
const version = 'kv-v3';

/** Makes the store: tables on two levels, deletions and deleted ranges in tables, and a log with writes that are in no table. */
export async function makeGoldenKv() {
  const disk = new SimulatedFileSystem();
  const clock = new SimulatedClock({ startMs: 1_800_000_000_000, tickMs: 1_000 });
  const options = { blockBytes: 256, tableBytes: 2_048, compression: 'deflate' };
  const components = { fileSystem: disk, clock, random: new SeededRandom(1) };
  const kv = await openKv('/kv', options, components);
  for (let number = 0; number < 60; number += 1) {
    await kv.put(`photos/2026/${String(number).padStart(3, '0')}`, `picture ${number} `.repeat(9));
  }
  await kv.batch([
    { type: 'put', key: '', value: '' },
    { type: 'put', key: 'ä/😀', value: new Uint8Array([0, 255]) },
    { type: 'put', key: 'large', value: new Uint8Array(3_000).fill(7) },
  ]);
  await kv.compact();
  await kv.deleteRange({ gte: 'photos/2026/010', lt: 'photos/2026/020' });
  await kv.delete('photos/2026/005');
  await kv.put('photos/2026/006', 'another picture');
  await kv.flush();
  await kv.put('photos/2027/000', 'in the log alone');
  await kv.deleteRange({ prefix: 'photos/2026/05' });
  const entries = entriesOf(kv);
  await kv.close();
  return { disk, entries };
}

/** Keys and values as hexadecimal text. */
export function entriesOf(kv) {
  return Array.from(kv.iterateSync(), (pair) =>
    pair.map((bytes) => Buffer.from(bytes).toString('hex')),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { disk, entries } = await makeGoldenKv();
  rmSync(join(golden, version), { recursive: true, force: true });
  for (const path of disk.paths()) {
    const target = join(golden, path.replace('/kv', version));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, disk.readFile(path));
  }
  writeFileSync(
    join(golden, `${version}-entries.json`),
    `${JSON.stringify(entries, undefined, 1)}\n`,
  );
}
