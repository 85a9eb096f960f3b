import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import { MemoryStreamIndex } from '../event-index/memory-stream-index.ts';
import { PendingCommit } from './pending-commit.ts';
import type { PreparedCommit } from './prepared-commit.ts';
import { Sequencer, type SequencerParts } from './sequencer.ts';

class Pending extends PendingCommit {
  refusal: string | undefined;
  appended(): void {}
  repeated(): void {}
  protected refused(error: Error): void {
    this.refusal = (error.cause as Error).message;
  }
}

function commitOf(eventCount: number): PreparedCommit {
  return {
    parts: [{ stream: 's', expectedRevision: 'any', count: eventCount }],
    eventCount,
    idempotencyKey: '',
    bodySize: 100,
    ack: 'durable',
    signal: undefined,
    suppliedIdOf: () => '',
    putRecord: () => 0,
  };
}

describe('a sequencer whose writer keeps 8 leaves', () => {
  it('lets commits wait until everything in flight is among them', () => {
    const journal = {
      appended: 100,
      durable: 96,
      pendingCount: 1,
      failure: undefined,
      hasRoom: () => true,
      publishNow: () => (publishCount += 1),
      draw: () => {
        throw new Error('decided');
      },
    };
    let publishCount = 0;
    const parts = {
      journal,
      streams: new MemoryStreamIndex(),
      ids: { count: 0 },
      duplicates: { find: () => undefined },
      random: new SeededRandom(1),
      clock: { now: () => 1 },
      logger: () => {},
      isReadOnly: false,
    } as unknown as SequencerParts;
    const sequencer = new Sequencer(parts, { lastTime: 0, leavesFrom: 0, leafCount: 8 });
    const [four, five] = [new Pending(false), new Pending(false)];
    expect(sequencer.take(commitOf(4), four)).toBe(true);
    expect([four.refusal, publishCount]).toEqual(['decided', 0]);
    expect(sequencer.take(commitOf(5), five)).toBe(false);
    expect([five.refusal, publishCount, sequencer.waitingCount]).toEqual([undefined, 1, 1]);
    journal.durable = 97;
    sequencer.admitWaiting();
    expect([five.refusal, sequencer.waitingCount]).toEqual(['decided', 0]);
    // With nothing in flight there is nothing to wait for.
    journal.pendingCount = 0;
    expect(sequencer.take(commitOf(9), new Pending(false))).toBe(true);
  });
});
