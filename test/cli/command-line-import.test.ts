/** What `import` refuses, how it goes on, and what `export` gives back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  historyPath,
  linesOf,
  type Ran,
  interruptedVarve,
  temporaryFolder,
  varveIn,
  varveWith,
  withoutTime,
  writeLines,
} from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);
const mapping = ['--group-by', 'correlationId', '--key', 'correlationId', '--occurred-at', 'time'];

function write(name: string, lines: readonly (object | string)[]): void {
  writeLines(folder, name, lines);
}

function typesIn(store: string): string[] {
  return linesOf(varve('read', store, '--json').out).map(({ type }) => type);
}

describe('import', () => {
  it('stops at a bad line, keeps what is before it, and goes on when it is mended', () => {
    const good = Array.from({ length: 6 }, (_, n) => ({ stream: 'a', type: `T${n}`, data: n }));
    write('bad.ndjson', [...good.slice(0, 3), '{"stream":"a","type":"T3"', ...good.slice(4)]);
    const stopped = varve('import', 'bad.ndjson', 'mended');
    expect(stopped.status).toBe(2);
    expect(stopped.error).toContain('bad.ndjson:4: the line is not JSON');
    expect(stopped.error).toContain('3 events before it are in the store');
    expect(typesIn('mended')).toEqual(['T0', 'T1', 'T2']);
    write('bad.ndjson', good);
    const resumed = varve('import', 'bad.ndjson', 'mended', '--json');
    expect(JSON.parse(resumed.out)).toMatchObject({
      appended: { events: 3 },
      duplicates: { events: 3 },
    });
    expect(typesIn('mended')).toEqual(['T0', 'T1', 'T2', 'T3', 'T4', 'T5']);
  });

  it('notices that a line it knows by its number has changed', () => {
    write('changing.ndjson', [{ stream: 'a', type: 'One' }]);
    expect(varve('import', 'changing.ndjson', 'changing').status).toBe(0);
    write('changing.ndjson', [
      { stream: 'a', type: 'Zero' },
      { stream: 'a', type: 'One' },
    ]);
    const { status, error } = varve('import', 'changing.ndjson', 'changing');
    expect(status).toBe(3);
    expect(error).toContain('changing.ndjson:1: ');
    expect(error).toContain('--source <name>');
    expect(varve('import', 'changing.ndjson', 'changing', '--source', 'other').status).toBe(0);
    expect(typesIn('changing')).toEqual(['One', 'Zero', 'One']);
  });

  it('imports nothing of a commit with a bad line in it', () => {
    const lines = [1, 1, 2, 2, 2, 3].map((group, n) => ({ stream: `s/${n}`, type: 'T', group }));
    lines[3]!.stream = 'a//b';
    write('grouped.ndjson', lines);
    const stopped = varve('import', 'grouped.ndjson', 'grouped', '--group-by', 'group');
    expect(stopped.status).toBe(2);
    expect(stopped.error).toContain('grouped.ndjson:4: The stream "a//b"');
    expect(typesIn('grouped')).toHaveLength(2);
    lines[3]!.stream = 'b';
    write('grouped.ndjson', [...lines.slice(0, 4), 'not json', ...lines.slice(4)]);
    expect(varve('import', 'grouped.ndjson', 'grouped', '--group-by', 'group').status).toBe(2);
    expect(typesIn('grouped')).toHaveLength(2);
    write('grouped.ndjson', lines);
    expect(varve('import', 'grouped.ndjson', 'grouped', '--group-by', 'group').status).toBe(0);
    const events = linesOf(varve('read', 'grouped', '--json').out);
    expect(events.map(({ commit }) => commit.count)).toEqual([2, 2, 3, 3, 3, 1]);
  });

  it('lets nothing in behind a line that the store refuses', () => {
    const lines = Array.from({ length: 200 }, (_, n) => ({
      stream: 'a',
      type: `T${n}`,
      id: `i${n}`,
    }));
    lines[100]!.id = 'i99';
    write('conflict.ndjson', lines);
    const { status, error } = varve('import', 'conflict.ndjson', 'conflict');
    expect(status).toBe(3);
    expect(error).toContain('conflict.ndjson:101: The event id "i99" was used for another commit');
    expect(typesIn('conflict')).toEqual(lines.slice(0, 100).map(({ type }) => type));
  });

  it('names the line of a commit that is too large', () => {
    const data = 'x'.repeat(6 * 1024 * 1024);
    write(
      'large.ndjson',
      [1, 2, 2, 2].map((group) => ({ stream: 'a', type: 'T', group, data })),
    );
    const { status, error } = varve('import', 'large.ndjson', 'large', '--group-by', 'group');
    expect(status).toBe(2);
    expect(error).toContain('large.ndjson:2-4: The commit takes');
  });

  it('lists fields it has no place for, and how to drop, keep or map them', () => {
    write('foreign.ndjson', [{ path: 'a/b', at: '2026-01-31T12:00:00Z', method: 'GET', ms: 3 }]);
    const { status, error } = varve('import', 'foreign.ndjson', 'foreign');
    expect(status).toBe(2);
    expect(error).toContain('no place in an event for "path", "at", "method", "ms"');
    expect(error).toContain('--ignore path');
    const options = ['--stream', 'path', '--type', 'method', '--occurred-at', 'at'];
    expect(varve('import', 'foreign.ndjson', 'foreign', ...options, '--rest-as-data').status).toBe(
      0,
    );
    expect(linesOf(varve('read', 'foreign', '--json').out)).toMatchObject([
      { stream: 'a/b', type: 'GET', occurredAt: Date.UTC(2026, 0, 31, 12), data: { ms: 3 } },
    ]);
  });

  it('wants a name for standard input whose lines have neither key nor id', () => {
    const input = '{"stream":"a","type":"T"}\n';
    const refused = varveWith({ folder, input }, 'import', '-', 'piped');
    expect(refused.status).toBe(2);
    expect(refused.error).toContain('standard input:1: ');
    expect(refused.error).toContain('--source <name>');
    expect(varveWith({ folder, input }, 'import', '-', 'piped', '--source', 'p').status).toBe(0);
  });

  it('says where a compressed file is cut short, and imports no part of a commit', () => {
    writeFileSync(join(folder, 'cut.ndjson.gz'), readFileSync(historyPath).subarray(0, 100_000));
    const { status, error } = varve('import', 'cut.ndjson.gz', 'cut', ...mapping);
    expect(status).toBe(2);
    expect(error).toMatch(/cut\.ndjson\.gz:\d+: the compressed file is damaged or cut short/);
    const events = linesOf(varve('read', 'cut', '--json').out);
    expect(events.length).toBeGreaterThan(1_000);
    const { commit } = events.at(-1)!;
    expect(commit.index).toBe(commit.count - 1);
  });

  it('keeps bytes, absent data, null and keys through an export', () => {
    writeFileSync(join(folder, 'bytes.bin'), Buffer.from([0, 255, 10]));
    const append = (...args: readonly string[]): Ran =>
      varve('append', 'kinds', 's', '--type', ...args);
    append('Bytes', '--data', '@bytes.bin', '--bytes', '--key', 'k1');
    append('Empty', '--tag', 'x', '--tag', 'y');
    append('Null', '--data', 'null', '--metadata', '{"by":"me"}');
    append('Lookalike', '--data', '{"dataBase64":"AP8K"}', '--occurred-at=-1');
    const source = varve('export', 'kinds').out;
    expect(linesOf<object>(source)).toMatchObject([
      { type: 'Bytes', dataBase64: 'AP8K', idempotencyKey: 'k1' },
      { type: 'Empty', tags: ['x', 'y'] },
      { type: 'Null', data: null, metadata: { by: 'me' } },
      { type: 'Lookalike', data: { dataBase64: 'AP8K' }, occurredAt: -1 },
    ]);
    varveWith({ folder, input: source }, 'import', '-', 'kinds-copy');
    expect(withoutTime(varve('export', 'kinds-copy').out)).toBe(withoutTime(source));
    expect(varve('append', 'kinds-copy', 's', '--type', 'Other', '--key', 'k1').status).toBe(3);
  });

  it('exports whole commits only', () => {
    write(
      'pair.ndjson',
      [1, 1, 2].map((group) => ({ stream: 'a', type: 'T', group })),
    );
    varve('import', 'pair.ndjson', 'pair', '--group-by', 'group');
    const { status, error } = varve('export', 'pair', '--after', '0');
    expect(status).toBe(2);
    expect(error).toContain('Use --after 1, or --after -1');
    expect(linesOf(varve('export', 'pair', '--after', '-1').out)).toHaveLength(3);
    expect(linesOf(varve('export', 'pair', '--after', '1').out)).toHaveLength(1);
  });

  it('is stopped by Ctrl-C, leaves the store at rest, and goes on when it is run again', async () => {
    const lines = Array.from({ length: 200_000 }, (_, n) => `{"stream":"s/${n % 100}","type":"T"}`);
    write('long.ndjson', lines);
    const at = { call: 'read', number: 20 } as const;
    const { status, error } = await interruptedVarve(folder, at, 'import', 'long.ndjson', 'long');
    expect(status).toBe(130);
    expect(error).toContain('run the same command again to go on');
    const { events, recovery } = JSON.parse(varve('stats', 'long', '--json').out);
    expect(recovery.wasClosed).toBe(true);
    expect(events).toBeLessThan(lines.length);
    const resumed = JSON.parse(varve('import', 'long.ndjson', 'long', '--json').out);
    expect(resumed).toMatchObject({ duplicates: { events }, head: lines.length });
  });
});
