import { open } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { expect, it } from 'vitest';
import { auditDisk, eventsOf, noise, textOf } from './damage.ts';

it('a backup is whole when a full segment gets its footer while it is copied', async () => {
  const disk = new SimulatedFileSystem();
  const components = { fileSystem: disk, clock: new SimulatedClock(), random: new SeededRandom(1) };
  const store = await open('/store', {}, components);
  // Backups at all stages of writing, rotating and sealing, none of which waits for another.
  const backups: Promise<unknown>[] = [];
  for (let count = 0; count < 12; count += 1) {
    await store.append('s', [{ type: 'Blob', data: noise(700_000, count) }]);
    backups.push(store.backup(`/backup-${count}`));
  }
  await Promise.all(backups);
  const events = await eventsOf(store);
  await store.close();
  for (let count = 0; count < 12; count += 1) {
    const copy = await open(`/backup-${count}`, { create: false }, components);
    expect(copy.recovery).toMatchObject({ wasClosed: true, tail: 'exact', quarantined: undefined });
    expect(textOf(await eventsOf(copy))).toBe(textOf(events.slice(0, count + 1)));
    expect(await copy.verify()).toMatchObject({ ok: true });
    await copy.close();
  }
  expect(await auditDisk(disk)).toMatchObject({ ok: true, findingCount: 0 });
});
