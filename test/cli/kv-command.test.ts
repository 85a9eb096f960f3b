/** `varve kv …`: the commands for key-value stores. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KvStore, openKv } from 'varve/kv';
import { beforeAll, describe, expect, it } from 'vitest';
import { interruptedVarve, linesOf, mainPath, temporaryFolder, varveIn } from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);
const commands: readonly (readonly [string, ...string[]])[] = [
  ['get', 'key'],
  ['list'],
  ['stats'],
  ['verify'],
  ['repair'],
  ['compact'],
  ['backup', 'copy-of-it'],
];

async function withKv(name: string, work: (kv: KvStore) => Promise<void>): Promise<void> {
  const kv = await openKv(join(folder, name));
  await work(kv);
  await kv.close();
}

function tablesOf(name: string): string[] {
  return readdirSync(join(folder, name, 'tables')).map((file) =>
    join(folder, name, 'tables', file),
  );
}

function lose(name: string): void {
  cpSync(join(folder, 'large'), join(folder, name), { recursive: true });
  rmSync(join(folder, name, 'manifest'));
}

function everything(name: string): string[] {
  return readdirSync(join(folder, name), { recursive: true, encoding: 'utf8' }).sort();
}

/** Keys and rolled-up prefixes of a listing. */
function names(...args: readonly string[]): string[] {
  const { out } = varve('kv', 'list', 'small', ...args, '--json');
  return linesOf<Record<string, string>>(out).map(
    ({ prefix, key, keyHex }) => prefix ?? key ?? `hex ${keyHex}`,
  );
}

/** Turns a byte in the middle of a file. */
function damage(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 2]! ^= 0xff;
  writeFileSync(file, bytes);
}

beforeAll(async () => {
  await withKv('small', async (kv) => {
    await kv.batch([
      { type: 'put', key: 'photos/2025/1.jpg', value: 'one' },
      { type: 'put', key: 'photos/2026/2.jpg', value: 'two' },
      { type: 'put', key: 'photos/2026/3.jpg', value: 'three' },
      { type: 'put', key: 'photos/index', value: '{"n":3}' },
      { type: 'put', key: new Uint8Array([0x00, 0xff]), value: new Uint8Array([0x0a, 0xfe]) },
      { type: 'put', key: 'odd \u001B[31m\u009B', value: '\u001B]0;title\u0007' },
      { type: 'put', key: '', value: '' },
    ]);
  });
  await withKv('large', async (kv) => {
    for (let table = 0; table < 3; table += 1) {
      for (let n = 0; n < 500; n += 1) {
        void kv.put(`key/${n}`, `value ${n} of table ${table}`);
      }
      void kv.put(`only/${table}`, 'here');
      await kv.flush();
    }
  });
});

describe('help', () => {
  it('is found where people look for it', () => {
    expect(varve('--help').out).toMatch(/^ {2}kv {2,}.*varve kv --help$/m);
    for (const args of [
      ['kv', '--help'],
      ['kv', 'help'],
      ['help', 'kv'],
    ]) {
      const { status, out } = varve(...args);
      expect(status).toBe(0);
      for (const [command] of commands) {
        expect(out).toMatch(new RegExp(`^  kv ${command} `, 'm'));
      }
    }
    expect(varve('kv').status).toBe(2);
  });

  it.each(commands.map(([name]) => name))('shows options and examples of %s', (name) => {
    const { status, out } = varve('kv', name, '--help');
    expect(status).toBe(0);
    expect(out).toContain(`Usage: varve kv ${name} <dir>`);
    expect(out).toMatch(/Examples\n {2}\$ .*varve kv/);
    expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  });

  it('is found behind the word help, too', () => {
    expect(varve('help', 'kv', 'list').out).toContain('Usage: varve kv list <dir>');
  });

  it.each([
    [['kv', 'frob'], 'There is no command "kv frob"'],
    [['kv', 'get', 'small'], 'An argument is missing: varve kv get <dir> <key>'],
    [['kv', 'list', 'small', '--limit', 'all'], '--limit takes a whole number'],
    [['kv', 'list', 'small', '--delimiter', ''], 'A delimiter has at least one byte'],
    [['kv', 'get', 'small', 'xyz', '--hex'], '"xyz" is not hex'],
    [['kv', 'backup', 'small', 'large'], 'is there already'],
  ])('ends with 2 and says what is wrong: %j', (args, message) => {
    const { status, out, error } = varve(...args);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(error).toContain(message);
  });
});

describe('every command', () => {
  it.each(commands)('%s makes no store', (command, ...rest) => {
    const { status, error } = varve('kv', command, 'nowhere', ...rest);
    expect(status).toBe(2);
    expect(error).toContain('There is no store');
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });

  it.each(commands)('%s leaves a folder of other things alone', (command, ...rest) => {
    varve('append', 'events', 's', '--type', 'T');
    const before = readdirSync(join(folder, 'events'));
    const { status, error } = varve('kv', command, 'events', ...rest);
    expect(status).toBe(2);
    expect(error).toContain('holds other things than a store');
    expect(readdirSync(join(folder, 'events'))).toEqual(before);
  });

  it.each(commands)('%s is refused while somebody has the store open', async (command, ...rest) => {
    const kv = await openKv(join(folder, 'small'));
    try {
      const { status, error } = varve('kv', command, 'small', ...rest);
      expect(status).toBe(4);
      expect(error).toContain(`in use by process ${process.pid} `);
    } finally {
      await kv.close();
    }
  });

  it('lets no control character of a key or value reach a terminal', () => {
    for (const args of [
      ['kv', 'list', 'small', '--values'],
      ['kv', 'list', 'small', '--values', '--json'],
      ['kv', 'get', 'small', 'odd \u001B[31m\u009B'],
    ]) {
      const { status, out } = varve(...args);
      expect(status).toBe(0);
      expect(out.replaceAll('\n', '').match(/\p{Cc}/gu)).toBeNull();
    }
    expect(varve('kv', 'get', 'small', 'odd \u001B[31m\u009B').out).toBe(
      '\\u001b]0;title\\u0007\n',
    );
  });
});

describe('kv get', () => {
  it('shows a value as text, as hex, or with its version', () => {
    expect(varve('kv', 'get', 'small', 'photos/index').out).toBe('{"n":3}\n');
    expect(varve('kv', 'get', 'small', '').out).toBe('\n');
    expect(varve('kv', 'get', 'small', '00ff', '--hex').out).toBe('0afe\n');
    expect(JSON.parse(varve('kv', 'get', 'small', 'photos/index', '--json').out)).toEqual({
      key: 'photos/index',
      version: 4,
      value: '{"n":3}',
    });
    expect(JSON.parse(varve('kv', 'get', 'small', '00FF', '--hex', '--json').out)).toEqual({
      keyHex: '00ff',
      version: 5,
      valueHex: '0afe',
    });
  });

  it('writes the bytes of a value as they are', () => {
    const args = [mainPath, 'kv', 'get', 'small', '00ff', '--hex', '--raw'];
    const { stdout } = spawnSync(process.execPath, args, { cwd: folder });
    expect([...stdout]).toEqual([0x0a, 0xfe]);
  });

  it('ends with 6 if there is no such key', () => {
    const { status, out, error } = varve('kv', 'get', 'small', 'photos');
    expect(status).toBe(6);
    expect(out).toBe('');
    expect(error).toContain('There is no key "photos"');
  });
});

describe('kv list', () => {
  it('rolls keys up behind a delimiter, and goes on behind a line', () => {
    expect(names('photos/', '--delimiter', '/')).toEqual([
      'photos/2025/',
      'photos/2026/',
      'photos/index',
    ]);
    const page = ['photos/', '--delimiter', '/', '--limit', '1', '--after'];
    expect(names(...page, 'photos/2025/')).toEqual(['photos/2026/']);
    expect(names(...page, 'photos/2026/')).toEqual(['photos/index']);
    expect(names(...page, 'photos/index')).toEqual([]);
  });

  it('shows every key there is, whatever its bytes', () => {
    expect(names()).toEqual([
      '',
      'hex 00ff',
      'odd \u001B[31m\u009B',
      'photos/2025/1.jpg',
      'photos/2026/2.jpg',
      'photos/2026/3.jpg',
      'photos/index',
    ]);
    const { out } = varve('kv', 'list', 'small');
    expect(out).toContain('\\x00\\xff');
    expect(names('00', '--hex')).toEqual(['hex 00ff']);
  });

  it('shows values, versions and sizes', () => {
    const { out } = varve('kv', 'list', 'small', 'photos/2026/', '--values');
    expect(out.split('\n')).toEqual([
      '   version       bytes  key',
      '         2           3  photos/2026/2.jpg  two',
      '         3           5  photos/2026/3.jpg  three',
      '',
    ]);
    expect(linesOf(varve('kv', 'list', 'small', 'photos/i', '--values', '--json').out)).toEqual([
      { type: 'key', key: 'photos/index', version: 4, size: 7, value: '{"n":3}' },
    ]);
    const empty = varve('kv', 'list', 'small', 'nothing/');
    expect([empty.status, empty.out, empty.error]).toEqual([0, '', 'No keys there.\n']);
  });
});

describe('kv stats', () => {
  it('shows what is in tables and what came back from the log', () => {
    const stats = JSON.parse(varve('kv', 'stats', 'large', '--json').out);
    expect(stats).toMatchObject({ tables: 3, entries: 1503, deletions: 0, lastVersion: 1503 });
    expect(stats.size).toBeGreaterThan(0);
    const { out } = varve('kv', 'stats', 'large');
    expect(out).toMatch(/^tables +3, /m);
    expect(out).toMatch(/^ {2}level 0 +3, /m);
    expect(out).toMatch(/^last version +1503; up to 1503 in tables$/m);
  });
});

describe('kv compact and kv backup', () => {
  it('merges what is there into one table', () => {
    cpSync(join(folder, 'large'), join(folder, 'compacted'), { recursive: true });
    const { before, after } = JSON.parse(varve('kv', 'compact', 'compacted', '--json').out);
    expect(before.tables).toBe(3);
    expect(after.tables).toBe(1);
    expect(after.size).toBeLessThan(before.size);
    expect(varve('kv', 'get', 'compacted', 'key/7').out).toBe('value 7 of table 2\n');
  });

  it('copies a store', () => {
    const { status, out } = varve('kv', 'backup', 'large', 'copies/large');
    expect(status).toBe(0);
    expect(out).toMatch(/^copied {2}3 tables, .* to copies\/large\n$/);
    const list = (name: string): string => varve('kv', 'list', name, '--values').out;
    expect(list('copies/large')).toBe(list('large'));
    expect(varve('kv', 'verify', 'copies/large').status).toBe(0);
  });
});

describe('kv verify', () => {
  it('finds a store whole', () => {
    const { status, out } = varve('kv', 'verify', 'large');
    expect(status).toBe(0);
    expect(out).toContain('The store is whole.\nChecked 1,503 entries in 3 tables');
  });

  it('names the damaged table, and ends with 1', () => {
    cpSync(join(folder, 'large'), join(folder, 'bitten'), { recursive: true });
    const file = tablesOf('bitten')[1]!;
    damage(file);
    const { status, out } = varve('kv', 'verify', 'bitten');
    expect(status).toBe(1);
    expect(out).toMatch(/^damage {2}/);
    expect(out).toContain(file);
    expect(out).toContain('The store is damaged.');
    const { problems } = JSON.parse(varve('kv', 'verify', 'bitten', '--json').out);
    expect(problems).toMatchObject([{ file, reason: expect.any(String) }]);
  });

  it('says why a store is not opened, and what else is wrong with it', () => {
    cpSync(join(folder, 'large'), join(folder, 'broken'), { recursive: true });
    rmSync(join(folder, 'broken', 'manifest'));
    const file = tablesOf('broken')[2]!;
    damage(file);
    expect(varve('kv', 'get', 'broken', 'key/1').status).toBe(5);
    const { status, out, error } = varve('kv', 'verify', 'broken');
    expect(status).toBe(1);
    expect(out).toContain('the manifest is missing');
    expect(out).toContain(file);
    expect(error).toContain('varve kv repair broken');
  });

  it('is stopped by Ctrl-C, says so, and leaves the store closed', async () => {
    const many = await openKv(join(folder, 'many'), { tableBytes: 1_024 });
    const value = 'x'.repeat(200);
    await many.ingest(
      Array.from({ length: 20_000 }, (_, index) => [String(index).padStart(6, '0'), value]),
    );
    await many.close();
    const at = { call: 'readSync', number: 500 } as const;
    const { status, out, error } = await interruptedVarve(folder, at, 'kv', 'verify', 'many');
    expect(status).toBe(130);
    expect(out).toBe('');
    expect(error).toContain('Stopped before everything was checked.');
    expect(existsSync(join(folder, 'many', 'LOCK'))).toBe(false);
    expect(varve('kv', 'verify', 'many').out).toContain('The store is whole.');
  }, 60_000);
});

describe('kv repair', () => {
  it('finds nothing to do in a store that is whole', () => {
    const before = everything('large');
    const { status, out } = varve('kv', 'repair', 'large', '--apply');
    expect(status).toBe(0);
    expect(out).toContain('Nothing to do');
    expect(everything('large')).toEqual(before);
  });

  it('says what it would do, changes nothing, and does it when told to', () => {
    lose('lost');
    const before = everything('lost');
    const refused = varve('kv', 'list', 'lost');
    expect(refused.status).toBe(5);
    expect(refused.error).toContain('varve kv repair lost');

    const dry = varve('kv', 'repair', 'lost');
    expect(dry.status).toBe(1);
    expect(dry.out).toContain('Nothing has been changed');
    expect(dry.out).toMatch(/^keep +3 tables: 3 in level 0$/m);
    expect(dry.error).toContain('varve kv repair lost --apply');
    expect(everything('lost')).toEqual(before);

    const done = varve('kv', 'repair', 'lost', '--apply');
    expect(done.status).toBe(0);
    expect(done.out).toContain('has a new manifest');
    const list = (name: string): string => varve('kv', 'list', name, '--values').out;
    expect(list('lost')).toBe(list('large'));
    expect(varve('kv', 'verify', 'lost').status).toBe(0);
  });

  it('sets a damaged table aside where the manifest is whole, and says what that costs', () => {
    cpSync(join(folder, 'large'), join(folder, 'holed'), { recursive: true });
    const file = tablesOf('holed')[1]!;
    damage(file);
    expect(varve('kv', 'repair', 'holed').status).toBe(0);
    const { status, out } = varve('kv', 'repair', 'holed', '--even-if-intact', '--apply');
    expect(status).toBe(0);
    expect(out).toMatch(/^set aside {2}table \d+, which is damaged: /m);
    expect(out).toContain('Older values of their keys show again');
    expect(existsSync(file)).toBe(false);
    expect(varve('kv', 'get', 'holed', 'only/1').status).toBe(6);
    expect(varve('kv', 'get', 'holed', 'only/2').status).toBe(0);
    expect(varve('kv', 'verify', 'holed').status).toBe(0);
  });

  it('refuses to guess where a table belongs, and ends with 5', async () => {
    await withKv('guess', async (kv) => {
      await kv.put('a', 'old');
      await kv.flush();
      await kv.ingest([['a', 'ingested']]);
    });
    rmSync(join(folder, 'guess', 'manifest'));
    rmSync(join(folder, 'guess', 'manifest.copy'));
    const { status, out, error } = varve('kv', 'repair', 'guess', '--apply');
    expect(status).toBe(5);
    expect(out).toMatch(/^undecided {2}table \d+: it was ingested/m);
    expect(error).toContain('varve kv repair guess --set-aside-undecided');
    expect(existsSync(join(folder, 'guess', 'manifest'))).toBe(false);

    const dry = varve('kv', 'repair', 'guess', '--set-aside-undecided');
    expect(dry.status).toBe(1);
    expect(dry.error).toContain('varve kv repair guess --set-aside-undecided --apply');
    expect(varve('kv', 'repair', 'guess', '--set-aside-undecided', '--apply').status).toBe(0);
    expect(varve('kv', 'get', 'guess', 'a').out).toBe('old\n');
    expect(readdirSync(join(folder, 'guess', 'quarantine'))).toHaveLength(1);
  });
});

describe('a store without a log', () => {
  beforeAll(async () => {
    const kv = await openKv(join(folder, 'logless'), { log: false });
    void kv.put('a', '1', { position: 7 });
    await kv.close();
  });

  it('is looked into like any other', () => {
    expect(varve('kv', 'get', 'logless', 'a').out).toBe('1\n');
    expect(varve('kv', 'verify', 'logless').status).toBe(0);
  });

  it('is not emptied by a look when it is damaged', () => {
    cpSync(join(folder, 'logless'), join(folder, 'cut'), { recursive: true });
    const file = tablesOf('cut')[0]!;
    writeFileSync(file, readFileSync(file).subarray(0, 100));
    expect(varve('kv', 'get', 'cut', 'a').status).toBe(5);
    expect(varve('kv', 'verify', 'cut').status).toBe(1);
    expect(existsSync(file)).toBe(true);
  });
});
