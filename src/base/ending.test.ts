import { describe, expect, it } from 'vitest';
import { Ending } from './ending.ts';
import { VarveError } from './errors.ts';
import type { LogEntry } from './logger.ts';

const full = Object.assign(new Error('no space left'), { code: 'ENOSPC' });
const broken = Object.assign(new Error('broken'), { code: 'EIO' });

function failing(error: unknown): () => Promise<void> {
  return async () => {
    throw error;
  };
}

describe('ending', () => {
  it('goes on after a failure and throws the first one, with a code', async () => {
    const ending = new Ending(() => {});
    await ending.attempt(failing(broken));
    let hasRun = false;
    await ending.attempt(() => {
      hasRun = true;
    });
    await ending.attempt(failing(new VarveError('LOCKED', 'later')));
    expect(hasRun).toBe(true);
    expect(() => ending.throwFirst('Closed, badly')).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE', cause: broken }),
    );
  });

  it('tells the logger of what could not be done and costs nothing', async () => {
    const entries: LogEntry[] = [];
    const ending = new Ending((entry) => entries.push(entry));
    await ending.attempt(failing(full), 'leave the log at rest');
    await ending.tryTo('flush what is in memory', failing(broken));
    ending.throwFirst('Closed, badly');
    expect(entries).toMatchObject([
      { event: 'not-at-rest', message: expect.stringContaining('leave the log at rest') },
      { event: 'not-at-rest', message: expect.stringContaining('flush what is in memory') },
    ]);
    expect(entries.map(({ details }) => details['cause'])).toEqual([full, broken]);
  });

  it('throws for a full disk where something is lost by it', async () => {
    const ending = new Ending(() => {});
    await ending.attempt(failing(full));
    expect(() => ending.throwFirst('Closed, badly')).toThrow(VarveError);
  });

  it('throws for any other failure of a step that may want space', async () => {
    const ending = new Ending(() => {});
    await ending.attempt(failing(broken), 'leave the log at rest');
    expect(() => ending.throwFirst('Closed, badly')).toThrow(VarveError);
  });
});
