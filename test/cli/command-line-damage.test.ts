/** The commands on a damaged store. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dumpSegment } from 'varve/inspect';
import { beforeAll, describe, expect, it } from 'vitest';
import { putTogether, rehashPayload, takeApart } from '../store/log-surgery.ts';
import { linesOf, temporaryFolder, varveIn, writeLines } from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);

function framesOf(file: string): { offset: number; size: number }[] {
  const rows = linesOf<{ kind: string; offset: number; size: number }>(
    varve('dump', file, '--json').out,
  );
  return rows.filter(({ kind }) => kind === 'frame');
}

describe('a damaged store', () => {
  const segment = join(folder, 'damaged', 'log', '00000000000000000000.seg');
  const good = join(folder, 'good.seg');
  beforeAll(() => {
    const lines = Array.from({ length: 18 }, (_, n) => ({
      stream: `orders/${n}`,
      type: 'OrderPlaced',
      group: Math.floor(n / 3),
      data: { n },
    }));
    writeLines(folder, 'orders.ndjson', lines);
    varve('import', 'orders.ndjson', 'damaged', '--group-by', 'group');
    copyFileSync(segment, good);
  });

  function damage(offset: number): void {
    const bytes = readFileSync(good);
    bytes[offset]! ^= 0xff;
    writeFileSync(segment, bytes);
  }

  /** Changes the record at position 6, which no other follows in its stream. */
  function tamper(change: (record: Buffer) => void): void {
    const surgery = takeApart(readFileSync(good));
    change(surgery.frames[2]![0]!);
    writeFileSync(
      segment,
      Buffer.concat([readFileSync(good).subarray(0, 128), putTogether(surgery)]),
    );
  }

  it('is refused with 5 and reported by verify with 1', () => {
    damage(framesOf('good.seg')[2]!.offset + 100);
    const refused = varve('read', 'damaged');
    expect(refused.status).toBe(5);
    expect(refused.error).toContain('varve verify');
    const verified = varve('verify', 'damaged');
    expect(verified.status).toBe(1);
    expect(verified.out).toContain('The store is damaged.');
    expect(verified.out).toMatch(/positions 6 to 8 are missing/);
    expect(JSON.parse(varve('verify', 'damaged', '--json').out)).toMatchObject({ ok: false });
  });

  it('is not exported with a payload that was changed under right checksums', () => {
    tamper((record) => {
      record[record.length - 2]! ^= 1;
    });
    for (const command of ['export', 'read']) {
      const { status, out, error } = varve(command, 'damaged', '--json');
      expect(status, command).toBe(5);
      expect(linesOf(out), command).toHaveLength(6);
      expect(error, command).toContain('does not match its digest');
    }
    expect(varve('verify', 'damaged').status).toBe(1);
  });

  it('is told by verify --payloads if data are not JSON, all hashes right', () => {
    tamper((record) => {
      record[record.length - 1] = 0x20;
      rehashPayload(record);
    });
    const hashed = varve('verify', 'damaged');
    expect(hashed.status).toBe(0);
    expect(hashed.out).toContain('--payloads decompresses and parses them, too');
    const parsed = varve('verify', 'damaged', '--payloads');
    expect(parsed.status).toBe(1);
    expect(parsed.out).toContain('text that is not JSON');
    expect(parsed.out).toContain('position 6, stream orders/6');
    copyFileSync(good, segment);
    const whole = varve('verify', 'damaged', '--payloads');
    expect(whole.status).toBe(0);
    expect(whole.out).toContain('compared with their digests, decompressed and parsed.');
  });

  it('is shown by dump, piece by piece', () => {
    damage(0);
    copyFileSync(good, segment);
    const whole = varve('dump', 'damaged');
    expect(whole.out).toMatch(/^ +0 {2}header +segment 0 {2}from position 0/m);
    expect(whole.out.match(/ {2}frame .*link ok {2}body ok$/gm)).toHaveLength(6);
    expect(whole.out.match(/OrderPlaced/g)).toHaveLength(18);
    expect(whole.out).not.toContain('!!');
    expect(varve('dump', 'damaged', '--frames').out).not.toContain('OrderPlaced');
  });

  it('is shown with what is recognizable behind the damage', () => {
    const frame = framesOf('good.seg')[2]!;
    damage(frame.offset + 20);
    const { out } = varve('dump', 'damaged');
    expect(out).toContain('a frame header that is damaged');
    expect(out).toMatch(/ {2}7 {2}orders\/7@0 {2}OrderPlaced {2}\{"n":7\}/);
    expect(out.match(/ {2}frame /g)).toHaveLength(5);
    damage(frame.offset + frame.size - 12);
    const body = varve('dump', 'damaged').out;
    expect(body).toContain('!! the body does not match its checksum');
    expect(body.match(/ {2}frame /g)).toHaveLength(6);
  });

  it('is readable in every single-byte damage of its segment', () => {
    const size = readFileSync(good).length;
    for (let offset = 0; offset < size; offset += 1) {
      damage(offset);
      const rows = [...dumpSegment(segment)];
      const problems = rows.flatMap((row) => ('problems' in row ? row.problems : []));
      expect(problems.length, `byte ${offset}`).toBeGreaterThan(0);
      expect(rows.every((row) => row.offset >= 0 && row.offset + row.size <= size)).toBe(true);
    }
  });

  it('is no reason for dump to fail, whatever the file is', () => {
    for (const [name, bytes] of [
      ['empty.seg', Buffer.alloc(0)],
      ['short.seg', Buffer.alloc(20, 1)],
      ['zeros.seg', Buffer.alloc(4_096)],
      ['text.seg', Buffer.from('some text\n'.repeat(1_000))],
      ['half.seg', readFileSync(good).subarray(0, 1_000)],
    ] as const) {
      writeFileSync(join(folder, name), bytes);
      const { status, out } = varve('dump', name);
      expect(status).toBe(0);
      expect(out.split('\n').length).toBeGreaterThan(2);
    }
  });
});
