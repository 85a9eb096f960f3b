/** Who hears of what could not be done when a store was closed. */
import { type LogEntry, open, VarveError } from 'varve';
import { FaultPlan, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';

/** A disk that can't cut the log, for this reason, once it is asked to. */
function failingDisk(kind: 'ENOSPC' | 'EIO'): {
  readonly fileSystem: SimulatedFileSystem;
  fails: boolean;
} {
  const faults = new FaultPlan({
    when: (operation) => (state.fails && operation.kind === 'truncate' ? kind : undefined),
  });
  const state = { fileSystem: new SimulatedFileSystem({ faults }), fails: false };
  return state;
}

describe('close', () => {
  it('succeeds on a full disk, and tells the logger that the log is not at rest', async () => {
    const disk = failingDisk('ENOSPC');
    const { fileSystem } = disk;
    const entries: LogEntry[] = [];
    const logger = (entry: LogEntry): void => void entries.push(entry);
    const store = await open('/store', {}, { fileSystem, logger });
    await store.append('a', [{ type: 'Happened' }]);
    disk.fails = true;
    await store.close();
    expect(entries.map(({ event }) => event)).toContain('not-at-rest');
    disk.fails = false;
    const again = await open('/store', {}, { fileSystem });
    expect(again.head).toBe(1);
    await again.close();
  });

  it('rejects when the device fails, and releases the folder all the same', async () => {
    const disk = failingDisk('EIO');
    const { fileSystem } = disk;
    const store = await open('/store', {}, { fileSystem });
    await store.append('a', [{ type: 'Happened' }]);
    disk.fails = true;
    const error: unknown = await store.close().catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(VarveError);
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    disk.fails = false;
    const again = await open('/store', {}, { fileSystem });
    expect(again.head).toBe(1);
    await again.close();
  });
});
