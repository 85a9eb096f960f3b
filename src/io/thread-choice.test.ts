import { describe, expect, it } from 'vitest';
import { VarveError } from '../base/errors.ts';
import type { LogEntry } from '../base/logger.ts';
import { chooseThreads } from './thread-choice.ts';
import type { WorkerModules } from './worker-modules.ts';

const silent = (): void => {};
const code = 'INVALID_ARGUMENT';

function refusalOf(workers: unknown): () => unknown {
  return () => chooseThreads('auto', { workers: workers as WorkerModules }, silent);
}

describe('chooseThreads', () => {
  it('goes on inline only where a thread was not insisted on', () => {
    expect(chooseThreads('auto', {}, silent)).toMatchObject({ usesThreads: true });
    expect(chooseThreads('auto', {}, silent).goInline).toBeTypeOf('function');
    expect(chooseThreads('thread', {}, silent).goInline).toBeUndefined();
    expect(chooseThreads('inline', {}, silent).usesThreads).toBe(false);
  });

  it('tells why there is no thread once, however many could not be started', () => {
    const told: LogEntry[] = [];
    const { goInline } = chooseThreads('auto', {}, (entry) => told.push(entry));
    const failure = new VarveError('UNAVAILABLE', 'failed', {
      cause: 'first',
      details: { worker: 'kvLog' },
    });
    goInline?.(failure);
    goInline?.(new VarveError('UNAVAILABLE', 'failed'));
    expect(told).toMatchObject([
      { level: 'warn', event: 'thread-unavailable', details: { worker: 'kvLog', cause: 'first' } },
    ]);
  });

  it('takes the URLs of workers, and refuses what is none or of no worker', () => {
    const url = new URL('file:///worker.js');
    const { workers } = chooseThreads('auto', { workers: { eventLog: url } }, silent);
    expect(workers.eventLog).toBe(url);
    expect(refusalOf({ eventLog: '/worker.js' })).toThrow(expect.objectContaining({ code }));
    expect(refusalOf({ kvLog: null })).toThrow(expect.objectContaining({ code }));
    expect(refusalOf({ eventlog: url })).toThrow(expect.objectContaining({ code }));
    expect(refusalOf(null)).toThrow(expect.objectContaining({ code }));
  });
});
