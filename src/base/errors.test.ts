import { describe, expect, it } from 'vitest';
import {
  asVarveError,
  CorruptionError,
  isNoSpace,
  RevisionConflictError,
  systemCode,
  VarveError,
} from './errors.ts';

describe('a VarveError', () => {
  it('says what to do and keeps its cause', () => {
    const cause = new Error('first');
    const error = new VarveError('POISONED', 'Text.', { cause, applied: 'unknown' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'VarveError',
      code: 'POISONED',
      kind: 'unavailable',
      applied: 'unknown',
      cause,
      details: {},
    });
  });

  it('has neither a cause nor an outcome where there is none', () => {
    const error = new VarveError('CLOSED', 'Text.');
    expect('cause' in error).toBe(false);
    expect(error.applied).toBeUndefined();
  });

  it('carries the place of damage', () => {
    const error = new CorruptionError('/log/0.seg', 128, 'the frame is torn');
    expect(error).toMatchObject({ code: 'CORRUPT', kind: 'data', file: '/log/0.seg', offset: 128 });
    expect(error.message).toBe('Damage in /log/0.seg at byte 128: the frame is torn.');
    expect(new CorruptionError('/log', undefined, 'gone').message).toBe('Damage in /log: gone.');
  });

  it('carries the revisions of a conflict', () => {
    const error = new RevisionConflictError('s', 3, 'none');
    expect(error).toMatchObject({ kind: 'conflict', stream: 's', expected: 3, actual: 'none' });
    expect(error.applied).toBe('no');
  });
});

describe('an error of the operating system', () => {
  it('is told from others by its code', () => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    expect(systemCode(full)).toBe('ENOSPC');
    expect(isNoSpace(full)).toBe(true);
    expect(isNoSpace(Object.assign(new Error('io'), { code: 'EIO' }))).toBe(false);
    expect(systemCode(new Error('plain'))).toBeUndefined();
    expect(systemCode({ code: 'EIO' })).toBeUndefined();
  });

  it('is given a code of ours, and ours are left as they are', () => {
    const cause = new Error('io');
    expect(asVarveError(cause, 'The log')).toMatchObject({ code: 'UNAVAILABLE', cause });
    const own = new VarveError('CORRUPT', 'Text.');
    expect(asVarveError(own, 'The log')).toBe(own);
  });
});
