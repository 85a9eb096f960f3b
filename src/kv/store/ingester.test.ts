import { describe, expect, it } from 'vitest';
import { Ingester } from './ingester.ts';
import type { KvWriter } from './kv-writer.ts';
import type { Maintenance } from '../tree/maintenance.ts';

describe('an ingester', () => {
  it('lets writes and readers go on in the turn in which the tables show, not later', async () => {
    const done: string[] = [];
    const writer = {
      hold: async () => {
        done.push('held');
        return 7;
      },
      release: () => {
        done.push('released');
      },
    };
    const maintenance = {
      flush: async () => {},
      makeIngested: async () => ({ tables: [], bytesRead: 0, bytesWritten: 0 }),
      addIngested: async (
        _made: unknown,
        sequence: number,
        _position: unknown,
        installed: () => void,
      ) => {
        done.push(`shown at ${sequence}`);
        installed();
        done.push('the turn has ended');
      },
    };
    const ingester = new Ingester(
      writer as unknown as KvWriter,
      maintenance as unknown as Maintenance,
    );
    expect(await ingester.ingest([], undefined)).toBe(7);
    expect(done.slice(0, 4)).toEqual(['held', 'shown at 7', 'released', 'the turn has ended']);
  });

  it('says what may have happened when the thread that should add the tables is gone', async () => {
    const writer = { hold: async () => 7, release: () => {} };
    const gone = new Error('Worker terminated due to reaching memory limit');
    const maintenance = {
      flush: async () => {},
      makeIngested: async () => ({ tables: [], bytesRead: 0, bytesWritten: 0 }),
      addIngested: () => Promise.reject(gone),
    };
    const ingester = new Ingester(
      writer as unknown as KvWriter,
      maintenance as unknown as Maintenance,
    );
    await expect(ingester.ingest([], undefined)).rejects.toMatchObject({
      name: 'VarveError',
      code: 'UNAVAILABLE',
      applied: 'unknown',
      cause: gone,
    });
  });
});
