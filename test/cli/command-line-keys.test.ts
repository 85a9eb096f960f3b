/** Idempotency keys and their scopes at the command: append, import, export, keys find. */
import { describe, expect, it } from 'vitest';
import {
  linesOf,
  type Ran,
  temporaryFolder,
  varveIn,
  varveWith,
  withoutTime,
  writeLines,
} from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);

function append(store: string, ...args: readonly string[]): Ran {
  return varve('append', store, 'orders/1', '--type', ...args);
}

function keysIn(store: string): (string | undefined)[] {
  return linesOf(varve('export', store).out).map(
    ({ idempotencyScope: scope, idempotencyKey: key }) =>
      scope === undefined ? key : `${scope}:${key}`,
  );
}

describe('append', () => {
  it('keeps keys of scopes apart', () => {
    expect(append('scoped', 'A', '--key', 'k', '--scope', 'one').out).toMatch(/^appended/);
    expect(append('scoped', 'B', '--key', 'k', '--scope', 'two').out).toMatch(/^appended/);
    expect(append('scoped', 'C', '--key', 'k').out).toMatch(/^appended/);
    expect(append('scoped', 'A', '--key', 'k', '--scope', 'one').out).toMatch(/^there already/);
    const conflict = append('scoped', 'A', '--key', 'k', '--scope', 'two');
    expect(conflict.status).toBe(3);
    expect(conflict.error).toContain('The idempotency key "k" of the scope "two" was used');
    expect(varve('get', 'scoped', '0').out).toMatch(/^key +k\nscope +one$/m);
    expect(varve('dump', 'scoped').out).toContain('key k  scope one');
  });

  it('wants a key for a scope', () => {
    const { status, error } = append('scoped', 'A', '--scope', 'one');
    expect(status).toBe(2);
    expect(error).toContain('there is no --key');
    expect(append('scoped', 'A', '--key', 'k', '--scope', '').status).toBe(2);
  });
});

describe('keys find', () => {
  it('shows the commit of a key, and says of one that it was never used', () => {
    const lines = [
      { stream: 'b', type: 'T', idempotencyKey: 'k', idempotencyScope: 's', tx: 1 },
      { stream: 'a', type: 'T', tx: 1 },
      { stream: 'b', type: 'T', tx: 1 },
      { stream: 'b', type: 'T', idempotencyKey: 'k', tx: 2 },
    ];
    writeLines(folder, 'found.ndjson', lines);
    expect(varve('import', 'found.ndjson', 'found', '--group-by', 'tx').status).toBe(0);
    const { status, out } = varve('keys', 'find', 'found', 'k', '--scope', 's');
    expect(status).toBe(0);
    expect(out).toMatch(/^positions +0-2\nrecorded +\S+ \S+\nstream +b@0-1\nstream +a@0\n$/);
    expect(varve('keys', 'find', 'found', 'k').out).toMatch(/^position +3\n/);
    const found = varve('keys', 'find', 'found', 'k', '--scope', 's', '--json');
    expect(JSON.parse(found.out)).toEqual({
      idempotencyKey: 'k',
      idempotencyScope: 's',
      firstPosition: 0,
      lastPosition: 2,
      time: expect.any(Number),
      streams: [
        { stream: 'b', firstRevision: 0, revision: 1 },
        { stream: 'a', firstRevision: 0, revision: 0 },
      ],
    });
    const missing = varve('keys', 'find', 'found', 'k', '--scope', 't');
    expect(missing.status).toBe(6);
    expect(missing.error).toContain('The key "k" was never used in the scope "t".');
    const bare = varve('keys', 'find', 'found', 'l', '--json');
    expect(bare.status).toBe(6);
    const text = varve('keys', 'find', 'found', 'l').error;
    expect(text).toContain('The key "l" was never used without a scope.');
    expect(JSON.parse(bare.error)).toMatchObject({ error: { code: 'NOT_FOUND' } });
    expect(varve('keys', 'find', 'found', '').status).toBe(2);
    expect(varve('keys', 'find', 'nowhere', 'k').status).toBe(2);
  });

  it('has help of its own', () => {
    expect(varve('--help').out).toMatch(/^ {2}keys {2,}.*varve keys --help$/m);
    expect(varve('keys', '--help').out).toMatch(/^ {2}keys find /m);
    const { status, out } = varve('keys', 'find', '--help');
    expect(status).toBe(0);
    expect(out).toContain('Usage: varve keys find <dir> <key>');
    expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  });
});

/** Of three events. */
function counts(appended: number): object {
  return { appended: { events: appended }, duplicates: { events: 3 - appended } };
}

describe('export and import', () => {
  it('are inverse, scopes included', () => {
    append('source', 'A', '--key', 'k', '--scope', 'one');
    append('source', 'B', '--key', 'k', '--scope', 'two');
    append('source', 'C', '--key', 'k');
    append('source', 'D');
    const source = varve('export', 'source').out;
    expect(keysIn('source')).toEqual(['one:k', 'two:k', 'k', undefined]);
    varveWith({ folder, input: source }, 'import', '-', 'copy');
    expect(withoutTime(varve('export', 'copy').out)).toBe(withoutTime(source));
    expect(append('copy', 'Other', '--key', 'k', '--scope', 'one').status).toBe(3);
    const back = varveWith({ folder, input: source }, 'import', '-', 'source', '--json');
    expect(JSON.parse(back.out)).toMatchObject({ appended: { events: 0 } });
  });

  it('give keys that have none the scope that was asked for, derived ones included', () => {
    const lines = [
      { stream: 'a', type: 'A', idempotencyKey: 'k' },
      { stream: 'a', type: 'B', idempotencyKey: 'k', idempotencyScope: 'one' },
      { stream: 'a', type: 'C' },
      { stream: 'a', type: 'D', id: 'by-its-id' },
    ];
    writeLines(folder, 'tenant.ndjson', [lines[0]!, lines[2]!, lines[3]!]);
    const run = (scope: string): Ran =>
      varve('import', 'tenant.ndjson', 'tenants', '--scope', scope, '--json');
    expect(JSON.parse(run('one').out)).toMatchObject(counts(3));
    expect(JSON.parse(run('one').out)).toMatchObject(counts(0));
    // What has an id of its own is known across scopes.
    expect(JSON.parse(run('two').out)).toMatchObject(counts(2));
    const derived = 'import:tenant.ndjson:2';
    expect(keysIn('tenants')).toEqual([
      'one:k',
      `one:${derived}`,
      undefined,
      'two:k',
      `two:${derived}`,
    ]);
    writeLines(folder, 'mixed.ndjson', lines);
    expect(varve('import', 'mixed.ndjson', 'mixed', '--scope', 'one').status).toBe(3);
    const refused = varve('import', 'mixed.ndjson', 'refused', '--scope', 'two');
    expect(refused.status).toBe(2);
    expect(refused.error).toContain(
      'mixed.ndjson:2: the line has the scope "one", and --scope says "two"',
    );
    expect(keysIn('refused')).toEqual(['two:k']);
  });

  it('of an export take its keys into a scope, and refuse to do it where they came from', () => {
    append('alone', 'A', '--key', 'k');
    const source = varve('export', 'alone').out;
    varveWith({ folder, input: source }, 'import', '-', 'shared', '--scope', 'one');
    expect(keysIn('shared')).toEqual(['one:k']);
    const again = varveWith({ folder, input: source }, 'import', '-', 'alone', '--scope', 'one');
    expect(again.status).toBe(3);
    expect(again.error).toContain('its idempotency scope is another one');
  });
});
