import { describe, expect, it } from 'vitest';
import { segmentName } from '../../journal/format.ts';
import type { RecoveredSegment } from '../../journal/recovery.ts';
import { FaultPlan } from '../../testing/fault-plan.ts';
import { SimulatedClock } from '../../testing/simulated-clock.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { inlineBackground } from '../compaction/inline-background.ts';
import { CountedTableNumbers } from '../compaction/table-numbers.ts';
import { FileRemover } from '../tree/file-remover.ts';
import { LogTrimmer } from './log-trimmer.ts';

interface Setup {
  readonly fileSystem: SimulatedFileSystem;
  readonly trimmer: LogTrimmer;
  readonly remover: FileRemover;
  readonly events: string[];
  /** Operations of these kinds fail. */
  readonly failing: Set<string>;
  readonly removed: string[];
  /** How often everything that was under way had ended. */
  readonly ends: number[];
  readonly segments: () => number[];
}

const POSITIONS = [0, 10, 20, 30, 40];

/** A log of five segments, all full but the last one. */
function setUp(): Setup {
  const failing = new Set<string>();
  const when = ({ kind }: { kind: string }): 'EIO' | undefined =>
    failing.has(kind) ? 'EIO' : undefined;
  const fileSystem = new SimulatedFileSystem({ faults: new FaultPlan({ when }) });
  for (const position of POSITIONS) {
    fileSystem.writeFile(`/kv/log/${segmentName(position)}`, new Uint8Array(8));
  }
  const removed: string[] = [];
  fileSystem.onOperation = ({ kind, path }) => {
    if (kind === 'remove') {
      removed.push(path);
    }
  };
  const numbers = CountedTableNumbers.startingAt(1, false);
  const parts = { fileSystem, directory: '/kv', identity: new Uint8Array(16), numbers };
  const background = inlineBackground(
    { ...parts, failedSyncs: { count: 0 } },
    new SimulatedClock(),
  );
  const events: string[] = [];
  const ends: number[] = [];
  const remover = new FileRemover(
    background,
    ({ event }) => events.push(event),
    () => ends.push(removed.length),
  );
  const segments = POSITIONS.map((firstPosition) => {
    return { header: { firstPosition }, isSealed: firstPosition < 40 } as RecoveredSegment;
  });
  const trimmer = new LogTrimmer(fileSystem, '/kv/log', segments, (paths, over) =>
    remover.remove(paths, over),
  );
  const left = (): number[] =>
    POSITIONS.filter((position) => fileSystem.stat(`/kv/log/${segmentName(position)}`));
  return { fileSystem, trimmer, remover, events, failing, removed, ends, segments: left };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise(setImmediate);
  }
}

describe('a log that is trimmed', () => {
  it('loses its oldest segments in order, later, and no needed one', async () => {
    const { trimmer, remover, removed, ends, segments } = setUp();
    trimmer.trim(9);
    trimmer.trim(29);
    expect(segments()).toEqual(POSITIONS);
    expect(remover.isBusy).toBe(true);
    await turns();
    expect(removed).toEqual([0, 10].map((position) => `/kv/log/${segmentName(position)}`));
    expect(segments()).toEqual([20, 30, 40]);
    expect(remover.isBusy).toBe(false);
    expect(ends).toEqual([2]);
    trimmer.trim(1_000);
    await turns();
    expect(segments()).toEqual([40]);
    trimmer.sealed(40);
    trimmer.trim(1_000);
    await turns();
    expect(segments()).toEqual([40]);
  });

  it('catches up with what could be trimmed while older segments were being removed', async () => {
    const { trimmer, ends, segments } = setUp();
    trimmer.trim(11);
    trimmer.trim(21);
    trimmer.trim(31);
    await turns();
    expect(segments()).toEqual([30, 40]);
    // Whoever waits for removals waits for those, too.
    expect(ends).toEqual([3]);
  });

  it('keeps the segment that ends with the last write in tables: the next open knows the log by it', async () => {
    const { trimmer, segments } = setUp();
    trimmer.trim(20);
    await turns();
    expect(segments()).toEqual([10, 20, 30, 40]);
  });

  it('is trimmed whatever else lies beside it, which is left alone', async () => {
    const { fileSystem, trimmer, segments } = setUp();
    fileSystem.writeFile('/kv/log/notes.txt', Buffer.from('precious'));
    fileSystem.writeFile('/kv/log/old/notes.txt', Buffer.from('precious'));
    trimmer.trim(25);
    await turns();
    expect(segments()).toEqual([20, 30, 40]);
    expect(fileSystem.readFile('/kv/log/notes.txt')).toHaveLength(8);
    expect(fileSystem.readFile('/kv/log/old/notes.txt')).toHaveLength(8);
  });

  it('has a removal that fails tried again by the next flush, and no newer segment removed before', async () => {
    const { trimmer, events, failing, ends, segments } = setUp();
    failing.add('remove');
    trimmer.trim(25);
    await turns();
    expect(segments()).toEqual(POSITIONS);
    expect(events).toEqual(['derived-write-failed']);
    expect(ends).toHaveLength(1);
    failing.clear();
    await turns();
    expect(segments()).toEqual(POSITIONS);
    trimmer.trim(25);
    await turns();
    expect(segments()).toEqual([20, 30, 40]);
    expect(events).toHaveLength(1);
  });

  it('fails no flush when it can not be looked at', async () => {
    const { trimmer, failing, segments } = setUp();
    failing.add('list');
    trimmer.trim(25);
    await turns();
    expect(segments()).toEqual(POSITIONS);
    failing.clear();
    trimmer.trim(25);
    await turns();
    expect(segments()).toEqual([20, 30, 40]);
  });
});
