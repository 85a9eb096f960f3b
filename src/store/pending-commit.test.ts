import { describe, expect, it } from 'vitest';
import { VarveError } from '../base/errors.ts';
import { PendingAppend, PendingParts } from './pending-commit.ts';

function pendingAppend(wantsWritten: boolean): { pending: PendingAppend; told: unknown[] } {
  const told: unknown[] = [];
  const tell = (what: unknown): void => void told.push(what);
  const pending = new PendingAppend(wantsWritten, tell, tell);
  Object.assign(pending, { firstPosition: 7, count: 2, revision: 4, time: 99 });
  return { pending, told };
}

const result = {
  outcome: 'appended',
  firstPosition: 7,
  lastPosition: 8,
  firstRevision: 3,
  revision: 4,
  time: 99,
};
const error = new VarveError('POISONED', 'Lost.');

describe('a pending commit', () => {
  it('is told once that it was appended', () => {
    const { pending, told } = pendingAppend(true);
    pending.written();
    pending.durable();
    expect(told).toEqual([result]);
  });

  it('is not told that it failed after it was told that it is written, but its followers are', () => {
    const { pending, told } = pendingAppend(true);
    const follower: unknown[] = [];
    pending.follow({ answer: () => follower.push('answer'), reject: (why) => follower.push(why) });
    pending.written();
    expect(follower).toEqual([]);
    pending.failed(error);
    expect(told).toEqual([result]);
    expect(follower).toEqual([error]);
  });

  it('lets its followers answer when it is durable', () => {
    const { pending, told } = pendingAppend(false);
    const follower: unknown[] = [];
    pending.follow({ answer: () => follower.push('answer'), reject: (why) => follower.push(why) });
    pending.durable();
    expect(told).toEqual([result]);
    expect(follower).toEqual(['answer']);
  });

  it('names the only stream of a commit, or all of them', () => {
    const told: unknown[] = [];
    const pending = new PendingParts(
      false,
      's',
      (one) => told.push(one.streams),
      () => {},
    );
    pending.count = 2;
    pending.revision = 3;
    pending.appended();
    const streams = [
      { stream: 's', firstRevision: 1, revision: 1 },
      { stream: 't', firstRevision: 0, revision: 0 },
    ];
    pending.streams = streams;
    pending.appended();
    expect(told).toEqual([[{ stream: 's', firstRevision: 2, revision: 3 }], streams]);
  });
});
