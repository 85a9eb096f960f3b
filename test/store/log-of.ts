import { open } from 'varve';
import { SeededRandom, SimulatedClock, type SimulatedFileSystem } from 'varve/testing';
import { readJournal } from '../../src/journal/recovery.ts';
import { EventLog } from '../../src/log/event-log.ts';
import { LogEncoder } from '../../src/log/log-encoder.ts';

export const LOG = '/store/log';

/** Paths of the segments of `/store`, oldest first. */
export function segmentsOf(disk: SimulatedFileSystem): string[] {
  return disk.paths().filter((path) => path.endsWith('.seg'));
}

export function identityOf(disk: SimulatedFileSystem): Uint8Array {
  return disk.readFile(segmentsOf(disk)[0]!).slice(8, 24);
}

/** The log of `/store` as its owner has it after an open, which changes nothing. */
export function logOf(disk: SimulatedFileSystem, openFilesMax = 4): EventLog {
  const place = { directory: LOG, identity: identityOf(disk) };
  const encoder = new LogEncoder(() => undefined);
  const { segments } = readJournal({ fileSystem: disk, ...place, encoder });
  return new EventLog(disk, place, segments, openFilesMax);
}

export interface WrittenLog {
  /** Positions at which commits begin, and the position after the last. */
  readonly borders: readonly number[];
  /** Of the segments. */
  readonly firstPositions: readonly number[];
}

/** Makes the store `/store`: commits of up to `eventCountMax` events with texts of less than `sizeOf()` bytes, in four segments of 1 MiB. */
export async function writeLog(
  disk: SimulatedFileSystem,
  seed: number,
  eventCountMax: number,
  sizeOf: (random: SeededRandom) => number,
): Promise<WrittenLog> {
  const random = new SeededRandom(seed);
  const components = { fileSystem: disk, random, clock: new SimulatedClock() };
  const options = { background: 'inline', maxSegmentBytes: 1024 * 1024 } as const;
  const store = await open('/store', options, components);
  const borders = [0];
  while (store.segments().length < 4) {
    const commits = Array.from({ length: 100 }, () =>
      Array.from({ length: 1 + random.below(eventCountMax) }, () => ({
        type: 'T',
        data: { text: 'x'.repeat(sizeOf(random)) },
      })),
    );
    const results = await Promise.all(commits.map((events) => store.append('s', events)));
    borders.push(...results.map(({ lastPosition }) => lastPosition + 1));
  }
  const firstPositions = store.segments().map(({ firstPosition }) => firstPosition);
  await store.close();
  return { borders, firstPositions };
}
