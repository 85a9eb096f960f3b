/** Derived data and copies of stores at the command: index, verify, stats, backup, restore. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { open } from 'varve';
import { beforeAll, describe, expect, it } from 'vitest';
import { linesOf, temporaryFolder, varveIn } from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);

/** A store whose derived data is in tables. */
async function makeStore(name: string, count = 60): Promise<void> {
  const store = await open(join(folder, name), { indexMemoryBytes: 16 * 1024 });
  for (let position = 0; position < count; position += 1) {
    const id = position % 2 === 0 ? { id: `id-${position}` } : {};
    await store.append(`s/${position % 5}`, [{ type: 'T', data: position, ...id }], {
      idempotencyKey: `key-${position}`,
    });
  }
  await store.settled();
  await store.close();
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 1;
  writeFileSync(path, bytes);
}

function firstTable(store: string): string {
  const tables = join(folder, store, 'derived', 'tables');
  return join(
    tables,
    readdirSync(tables).find((name) => name.endsWith('.tbl'))!,
  );
}

beforeAll(() => makeStore('store'));

describe('index', () => {
  it('stats shows what is in tables and in memory, as stats does', () => {
    const { status, out } = varve('index', 'stats', 'store');
    expect(status).toBe(0);
    expect(out).toMatch(/^index {2,}\S.* in \d+ tables? for \d+ events, \d+ in memory$/m);
    expect(out).toMatch(/^index memory {2}\S.*$/m);
    const { covered, tail, tables } = JSON.parse(varve('index', 'stats', 'store', '--json').out);
    expect(covered + tail.events).toBe(60);
    expect(tables.count).toBeGreaterThan(0);
    expect(varve('stats', 'store').out).toContain(
      out.trimEnd().replaceAll(/ {2,}/g, ' ').slice(0, 5),
    );
    expect(JSON.parse(varve('stats', 'store', '--json').out).index).toMatchObject({ covered });
  });

  it('verify compares with the log, and ends with 1 where something is wrong', async () => {
    await makeStore('wrong');
    const whole = varve('index', 'verify', 'wrong');
    expect(whole.status).toBe(0);
    expect(whole.out).toMatch(/^Derived data agrees with the log: \d+ entries for \d+ events\.$/m);
    flip(firstTable('wrong'), 40);
    const { status, out, error } = varve('index', 'verify', 'wrong');
    expect(status).toBe(1);
    expect(out).toContain('derived  tables: ');
    expect(out).toContain('.tbl, byte ');
    expect(error).toContain('varve index rebuild');
    const json = varve('index', 'verify', 'wrong', '--json');
    expect(json.status).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ logOk: true, isThere: true, ok: false });
    const log = varve('verify', 'wrong');
    expect(log.status).toBe(0);
    expect(log.out).toContain('The store is whole.');
    expect(log.out).toContain(
      'Derived data does not agree with the log. No event is lost by that.',
    );
    expect(JSON.parse(varve('verify', 'wrong', '--json').out)).toMatchObject({
      ok: true,
      derived: { ok: false },
    });
    const rebuilt = varve('index', 'rebuild', 'wrong');
    expect(rebuilt.status).toBe(0);
    expect(rebuilt.out).toMatch(/^index {2,}/);
    expect(varve('index', 'verify', 'wrong').status).toBe(0);
    expect(varve('keys', 'find', 'wrong', 'key-7').status).toBe(0);
  });

  it('verify says where there is none', async () => {
    await makeStore('bare', 3);
    const { status, out } = varve('index', 'verify', 'bare');
    expect(status).toBe(0);
    expect(out).toContain('for 0 events');
  });

  it('rebuild changes nothing where the log is damaged, and says so', async () => {
    await makeStore('torn');
    const before = readdirSync(join(folder, 'torn', 'derived', 'tables'));
    flip(join(folder, 'torn', 'log', '00000000000000000000.seg'), 900);
    const { status, error } = varve('index', 'rebuild', 'torn');
    expect(status).toBe(5);
    expect(error).toContain('nothing was changed');
    expect(readdirSync(join(folder, 'torn', 'derived', 'tables'))).toEqual(before);
    const verified = varve('index', 'verify', 'torn');
    expect(verified.status).toBe(1);
    expect(verified.error).toContain('The log is damaged');
    expect(varve('index', 'rebuild', 'nowhere').status).toBe(2);
  });

  it('rebuild refuses a store that is in use', async () => {
    const store = await open(join(folder, 'store'));
    expect(varve('index', 'rebuild', 'store').status).toBe(4);
    expect(varve('backup', 'store', 'used').status).toBe(4);
    await store.close();
    expect(existsSync(join(folder, 'used'))).toBe(false);
  });
});

describe('backup and restore', () => {
  it('copy a store, bring the copy up to date, and bring it back', async () => {
    await makeStore('kept');
    const first = varve('backup', 'kept', 'copy');
    expect(first.status).toBe(0);
    expect(first.out).toMatch(/^copied {2}60 events, \S.* new, in copy$/m);
    expect(statSync(firstTable('copy')).nlink).toBe(1);
    varve('append', 'kept', 's/9', '--type', 'More');
    const second = varve('backup', 'kept', 'copy', '--json');
    expect(JSON.parse(second.out)).toMatchObject({ target: 'copy', isNew: false, events: 61 });
    expect(varve('backup', 'kept', 'copy').out).toMatch(/^brought up to date {2}61 events/);
    const restored = varve('restore', 'copy', 'back');
    expect(restored.status).toBe(0);
    expect(restored.out).toMatch(/^restored {2}61 events, .* in 1 segment, to back\n$/);
    expect(varve('export', 'back').out).toBe(varve('export', 'kept').out);
    expect(varve('index', 'verify', 'back').status).toBe(0);
    expect(varve('restore', 'copy', 'back').status).toBe(2);
    const bare = varve('restore', 'copy', 'without', '--no-derived', '--payloads');
    expect(bare.out).toContain('the first open makes it from the log');
    expect(existsSync(join(folder, 'without', 'derived'))).toBe(false);
    expect(varve('backup', 'kept', 'small', '--no-derived').status).toBe(0);
    expect(existsSync(join(folder, 'small', 'derived'))).toBe(false);
    expect(varve('backup', 'kept', 'kept/inside').status).toBe(2);
    expect(varve('backup', 'store', 'copy').error).toContain('holds another store');
  });

  it('restore refuses a damaged backup, and leaves damaged derived data out', async () => {
    await makeStore('source');
    varve('backup', 'source', 'damaged');
    flip(firstTable('damaged'), 40);
    const { status, out } = varve('restore', 'damaged', 'half', '--json');
    expect(status).toBe(0);
    expect(linesOf<{ events: number; derived?: number }>(out)[0]).toMatchObject({ events: 60 });
    expect(existsSync(join(folder, 'half', 'derived'))).toBe(false);
    expect(varve('verify', 'half').status).toBe(0);
    flip(join(folder, 'damaged', 'log', '00000000000000000000.seg'), 900);
    const refused = varve('restore', 'damaged', 'never');
    expect(refused.status).toBe(5);
    expect(refused.error).toContain('nothing was restored');
    expect(existsSync(join(folder, 'never'))).toBe(false);
    unlinkSync(join(folder, 'damaged', 'store.json'));
    expect(varve('restore', 'damaged', 'never').status).toBe(5);
    expect(varve('restore', 'nowhere', 'never').status).toBe(2);
  });

  it('have help of their own', () => {
    expect(varve('--help').out).toMatch(/^ {2}index {2,}.*varve index --help$/m);
    for (const command of [
      ['backup'],
      ['restore'],
      ...['stats', 'verify', 'rebuild'].map((name) => ['index', name]),
    ]) {
      const { status, out } = varve(...command, '--help');
      expect(status).toBe(0);
      expect(out).toContain(`Usage: varve ${command.join(' ')} <`);
      expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
    }
  });
});
