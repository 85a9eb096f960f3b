/** The mark of a position in the event log is the leaf hash of the event before it: what a copy of the store that went its own way has there is refused. */
import { type EventStore, open } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { type KnownPosition, KnownPositionError } from '../../src/journal/known-position.ts';
import { readJournal } from '../../src/journal/recovery.ts';
import { LogEncoder } from '../../src/log/log-encoder.ts';

function openOn(fileSystem: SimulatedFileSystem, seed: number): Promise<EventStore> {
  const random = new SeededRandom(seed);
  const components = { fileSystem, random, clock: new SimulatedClock() };
  return open('/store', { writer: 'inline' }, components);
}

/** Appends commits of two events, each to a stream of its own, of equal sizes whatever `letter` is. */
async function append(
  store: EventStore,
  from: number,
  to: number,
  letter: string,
): Promise<KnownPosition[]> {
  const known: KnownPosition[] = [];
  for (let index = from; index < to; index += 1) {
    const streams = [`a-${index + 100}`, `b-${index + 100}`];
    const parts = streams.map((stream) => ({ stream, events: [{ type: 'T', data: letter }] }));
    await store.commit(parts);
    const { leaf, position } = (await store.streamHead(streams[1]!))!;
    known.push({ position: position + 1, mark: leaf });
  }
  return known;
}

/** Positions that are replayed. */
function replayed(disk: SimulatedFileSystem, known: KnownPosition): number[] {
  const positions: number[] = [];
  const directory = '/store/log';
  const [first] = disk.paths().filter((path) => path.startsWith(directory));
  const identity = disk.readFile(first!).slice(8, 24);
  const encoder = new LogEncoder((record) => {
    positions.push(record.position);
    return undefined;
  });
  readJournal({ fileSystem: disk.clone(), directory, identity, encoder, known });
  return positions;
}

describe('a position of an event log', () => {
  it('is known by the leaf before it, in this log and in no copy of it', async () => {
    const first = new SimulatedFileSystem();
    const store = await openOn(first, 1);
    const common = await append(store, 0, 5, 'x');
    await store.close();
    const second = first.clone();
    const ours = await append(await openOn(first, 2), 5, 15, 'y');
    const theirs = await append(await openOn(second, 3), 5, 15, 'z');
    expect(ours.map(({ position }) => position)).toEqual(theirs.map(({ position }) => position));
    for (const known of [...common, ...ours]) {
      const expected = Array.from({ length: 30 - known.position }, (_, at) => known.position + at);
      expect(replayed(first, known)).toEqual(expected);
    }
    for (const known of [...theirs, { ...ours[3]!, position: ours[3]!.position - 1 }]) {
      expect(() => replayed(first, known)).toThrow(KnownPositionError);
    }
    for (const known of [...common, ...theirs]) {
      expect(replayed(second, known)).toHaveLength(30 - known.position);
    }
  });
});
