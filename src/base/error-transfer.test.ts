import { describe, expect, it } from 'vitest';
import { packError, unpackError } from './error-transfer.ts';
import { CorruptionError, RevisionConflictError, VarveError } from './errors.ts';

/** Through a real structured clone, as between two threads. */
function transfer(error: unknown): Error {
  return unpackError(structuredClone(packError(error)));
}

describe('an error that is sent to another thread', () => {
  it('keeps class, code, kind, outcome, facts and message', () => {
    const error = new VarveError('IDEMPOTENCY_CONFLICT', 'Text.', {
      applied: 'no',
      details: { firstPosition: 3, list: [1, { a: new Uint8Array([7]) }] },
    });
    const sent = transfer(error);
    expect(sent).toBeInstanceOf(VarveError);
    expect(sent).not.toBeInstanceOf(RevisionConflictError);
    expect(sent).toEqual(error);
    expect([sent.name, sent.message, sent.stack]).toEqual(['VarveError', 'Text.', error.stack]);
    expect('cause' in sent).toBe(false);
  });

  it('has no outcome if it had none', () => {
    expect(transfer(new VarveError('CLOSED', 'Text.'))).not.toHaveProperty('applied');
  });

  it.each([
    new RevisionConflictError('orders/1', 'none', 4),
    new RevisionConflictError('s', 2, 'none'),
  ])('is still a conflict with its revisions', (error) => {
    const sent = transfer(error);
    expect(sent).toBeInstanceOf(RevisionConflictError);
    expect(sent).toEqual(error);
    expect(sent.message).toBe(error.message);
  });

  it.each([
    new CorruptionError('/log/0.seg', 128, 'torn', new Error('first')),
    new CorruptionError('/log', undefined, 'gone'),
  ])('is still damage with its place', (error) => {
    const sent = transfer(error);
    expect(sent).toBeInstanceOf(CorruptionError);
    expect(sent).toEqual(error);
    expect([sent.message, sent.cause]).toEqual([error.message, error.cause]);
  });

  it('keeps what the operating system said', () => {
    const facts = { code: 'ENOSPC', errno: -28, syscall: 'write', path: '/x' };
    const sent = transfer(Object.assign(new Error('full'), facts));
    expect(sent).toMatchObject(facts);
    expect([sent.name, sent.message]).toEqual(['Error', 'full']);
    expect(sent.constructor).toBe(Error);
  });

  it('keeps the chain of causes', () => {
    const first = new TypeError('first', { cause: { reason: 1 } });
    const second = new VarveError('UNAVAILABLE', 'Text.', { cause: first, applied: 'unknown' });
    const sent = transfer(new VarveError('POISONED', 'Text.', { cause: second }));
    expect(sent.cause).toBeInstanceOf(VarveError);
    expect(sent.cause).toMatchObject({ code: 'UNAVAILABLE', applied: 'unknown' });
    const { cause } = sent.cause as VarveError;
    expect(cause).toBeInstanceOf(TypeError);
    expect(cause).toMatchObject({ message: 'first', cause: { reason: 1 } });
  });

  it('has text in place of what can not be cloned', () => {
    const facts = { cause: () => 1, details: { symbol: Symbol('s'), n: 1 } };
    const sent = transfer(new VarveError('ABORTED', 'Text.', facts));
    expect(sent.cause).toBe('() => 1');
    expect((sent as VarveError).details).toEqual({ symbol: 'Symbol(s)', n: 1 });
    const nameless = transfer(new Error('Text.', { cause: Object.create(null, { f: hidden }) }));
    expect(nameless.cause).toBe('a value that has no text');
  });

  it('ends where the causes go in a circle', () => {
    const error = new Error('round');
    error.cause = error;
    let cause: unknown = transfer(error);
    let depth = 0;
    while (cause instanceof Error) {
      ({ cause } = cause);
      depth += 1;
    }
    expect([depth, cause]).toEqual([8, 'Error: round']);
  });

  it('keeps the reason of an abort', () => {
    const controller = new AbortController();
    controller.abort();
    const error = new VarveError('ABORTED', 'Text.', { cause: controller.signal.reason });
    expect(transfer(error).cause).toMatchObject({ name: 'AbortError', code: 20 });
    expect(transfer(new VarveError('ABORTED', 'Text.', { cause: 'enough' })).cause).toBe('enough');
  });

  it('is made of whatever was thrown', () => {
    expect(transfer('text')).toMatchObject({ name: 'Error', message: 'text' });
    expect(transfer(undefined).message).toBe('undefined');
  });
});

/** A function, which no clone takes, on an object without a text. */
const hidden = { value: () => 1, enumerable: true };
