/** The commands on the bundled history of 17,758 events. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  historyPath,
  linesOf,
  mainPath,
  type Ran,
  temporaryFolder,
  varveIn,
  varveWith,
  withoutTime,
} from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);
const mapping = ['--group-by', 'correlationId', '--key', 'correlationId', '--occurred-at', 'time'];
const commitCount = 1_422;

describe('the bundled history', () => {
  let first: Ran;
  beforeAll(() => {
    first = varve('import', historyPath, 'history', ...mapping, '--json');
  });

  it('is imported as the commits it was made of', () => {
    expect(first.status).toBe(0);
    expect(JSON.parse(first.out)).toMatchObject({
      appended: { events: 17_758, commits: commitCount },
      duplicates: { events: 0, commits: 0 },
      head: 17_758,
    });
  });

  it('is recognized when it is imported again', () => {
    const again = JSON.parse(varve('import', historyPath, 'history', ...mapping, '--json').out);
    expect(again).toMatchObject({
      appended: { events: 0, commits: 0 },
      duplicates: { events: 17_758, commits: commitCount },
      head: 17_758,
    });
  });

  it('comes back equal from an export', () => {
    const source = varve('export', 'history').out;
    const copied = varveWith({ folder, input: gzipSync(source) }, 'import', '-', 'copy', '--json');
    expect(JSON.parse(copied.out)).toMatchObject({
      appended: { events: 17_758, commits: commitCount },
    });
    const copy = varve('export', 'copy').out;
    expect(withoutTime(copy) === withoutTime(source)).toBe(true);
    // And it is known in the store it came from.
    const back = JSON.parse(
      varveWith({ folder, input: source }, 'import', '-', 'history', '--json').out,
    );
    expect(back).toMatchObject({ appended: { events: 0 }, duplicates: { events: 17_758 } });
  });

  it('is what the file says, event by event', () => {
    const expected = linesOf<Record<string, unknown>>(
      gunzipSync(readFileSync(historyPath)).toString(),
    );
    const events = linesOf(varve('read', 'history', '--json').out);
    expect(events).toHaveLength(expected.length);
    for (const [position, event] of events.entries()) {
      const { id, stream, type, data, correlationId, occurredAt } = event;
      const { time, ...others } = expected[position]!;
      expect({ id, stream, type, data, correlationId }).toEqual(others);
      expect(occurredAt).toBe(time);
    }
  });

  it('is verified', () => {
    const { status, out } = varve('verify', 'history');
    expect(status).toBe(0);
    expect(out).toContain('The store is whole.');
    expect(out).toContain('Checked 17,758 events of 1,422 commits in 6,511 streams');
    expect(JSON.parse(varve('verify', 'history', '--json').out)).toMatchObject({
      ok: true,
      events: 17_758,
      findings: [],
    });
  });

  it('is counted', () => {
    expect(JSON.parse(varve('stats', 'history', '--json').out)).toMatchObject({
      events: 17_758,
      streams: 6_511,
      idempotencyKeys: commitCount,
      suppliedIds: 17_758,
      recovery: { wasClosed: true },
    });
    expect(varve('stats', 'history').out).toMatch(/^events +17,758$/m);
  });

  it('is listed like paths', () => {
    const { out } = varve('streams', 'history', '--delimiter', '/', '--json');
    expect(linesOf(out)).toEqual(
      ['batpak/', 'holt/', 'kimberlite/', 'lsm-db/'].map((prefix) => ({ kind: 'prefix', prefix })),
    );
    const page = varve('streams', 'history', '--prefix', 'holt/', '--limit', '2', '--json');
    expect(linesOf(page.out)).toHaveLength(2);
    expect(varve('streams', 'history', '--prefix', 'holt/src/lib').out).toMatch(
      /^ +events +last at +stream\n +50 +17741 +holt\/src\/lib\.rs\n$/,
    );
  });

  it('is read by stream, by range and backwards', () => {
    const stream = ['--stream', 'holt/src/lib.rs', '--json'];
    const all = linesOf(varve('read', 'history', ...stream).out);
    expect(all.map(({ revision }) => revision)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    const some = linesOf(varve('read', 'history', ...stream, '--from-revision', '47').out);
    expect(some).toEqual(all.slice(47));
    const last = linesOf(varve('read', 'history', '--backwards', '--limit', '3', '--json').out);
    expect(last.map(({ position }) => position)).toEqual([17_757, 17_756, 17_755]);
    expect(varve('read', 'history', '--after', '-1', '--limit', '2', '--json').out).toBe(
      varve('read', 'history', '--limit', '2', '--json').out,
    );
    const range = ['--after', '10', '--before', '13', '--json'];
    expect(linesOf(varve('read', 'history', ...range).out).map(({ position }) => position)).toEqual(
      [11, 12],
    );
    expect(varve('read', 'history', '--limit', '1').out).toMatch(
      /^ +0 {2}2026-01-11 07:33:14Z {2}FileAdded +kimberlite\/\.gitignore@0 {2}\{"commit"/,
    );
  });

  it('is asked for single events', () => {
    const byPosition = varve('get', 'history', '1042', '--json').out;
    const [event] = linesOf(byPosition);
    expect(event).toMatchObject({ position: 1_042 });
    expect(varve('get', 'history', event!.id, '--json').out).toBe(byPosition);
    expect(varve('get', 'history', '1042').out).toMatch(new RegExp(`^id +${event!.id}$`, 'm'));
    for (const nothing of ['17758', 'no-such-id']) {
      const { status, error } = varve('get', 'history', nothing);
      expect(status).toBe(6);
      expect(error).toContain('There is no event');
    }
  });

  it('may be cut short by whoever reads it', () => {
    const pipe = `node ${mainPath} export history | head -n 2; echo "\${PIPESTATUS[*]}"`;
    const out = execFileSync('bash', ['-c', pipe], { cwd: folder, encoding: 'utf8' });
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[2]).toBe('0 0');
    expect(JSON.parse(varve('stats', 'history', '--json').out).recovery.wasClosed).toBe(true);
  });
});
