import type { SimulatedFileSystem } from 'varve/testing';
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
