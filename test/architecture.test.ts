/** The layer table, as docs/architecture.md draws it. Lower layers never import higher ones. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** The key-value engine without a log, from the bottom to the top. */
const treeOfKv: readonly string[] = [
  'kv/entries',
  'kv/sstable',
  'kv/manifest',
  'kv/memtable',
  'kv/compaction',
  'kv/tree',
];

/** What each folder of src/ may import besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  io: ['base'],
  collections: ['base'],
  radix: ['base'],
  journal: ['base', 'io', 'collections'],
  log: ['base', 'io', 'journal'],
  'kv/entries': ['base', 'collections'],
  'kv/sstable': ['base', 'io', 'collections', 'kv/entries'],
  'kv/manifest': ['base', 'io', 'kv/entries', 'kv/sstable'],
  'kv/memtable': ['base', 'io', 'collections', 'radix', 'kv/entries', 'kv/sstable', 'kv/manifest'],
  'kv/compaction': [
    'base',
    'io',
    'collections',
    'kv/entries',
    'kv/sstable',
    'kv/manifest',
    'kv/memtable',
  ],
  // The engine, which knows no log, no lock and no caller's arguments.
  'kv/tree': [
    'base',
    'io',
    'collections',
    'radix',
    'kv/entries',
    'kv/sstable',
    'kv/manifest',
    'kv/memtable',
    'kv/compaction',
  ],
  'kv/store': ['base', 'io', 'collections', 'radix', 'journal', ...treeOfKv],
  derived: ['base', 'io', 'collections', 'radix', 'log', ...treeOfKv],
  idempotency: ['base', 'io', 'collections', 'log', 'derived'],
  'event-index': ['base', 'io', 'collections', 'log', 'derived'],
  store: [
    'base',
    'io',
    'collections',
    'radix',
    'journal',
    'log',
    'derived',
    'idempotency',
    'event-index',
  ],
  testing: ['base', 'io', 'store', 'kv/entries', 'kv/store'],
  cli: ['doors'],
  doors: ['base', 'io', 'journal', 'log', 'kv/store', 'store', 'testing'],
};

/** Modules of Node that reach the operating system: only io/ and the command line import them. */
const systemModules = [
  'node:fs',
  'node:fs/promises',
  'node:net',
  'node:os',
  'node:process',
  'node:child_process',
  'node:timers',
  'node:timers/promises',
  'node:worker_threads',
];

interface Import {
  readonly file: string;
  readonly from: string;
  readonly specifier: string;
}

function sourceFiles(): string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.split('\\').join('/'));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const found = text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'/g);
  return Array.from(found, ([, specifier]) => ({
    file,
    from: layerOf(file),
    specifier: specifier!,
  }));
}

function layerOf(file: string): string {
  const parts = file.split('/');
  if (parts.length === 1) {
    return 'doors';
  }
  return parts[0] === 'kv' ? `kv/${parts[1]!}` : parts[0]!;
}

describe('the architecture', () => {
  const files = sourceFiles().filter((file) => !file.endsWith('.test.ts'));
  const imports = files.flatMap((file) => importsOf(file));

  it('sees the imports it judges', () => {
    expect(imports.length).toBeGreaterThan(200);
    expect(imports).toContainEqual({
      file: 'log/log-encoder.ts',
      from: 'log',
      specifier: '../journal/encoder.ts',
    });
  });

  it('has lower layers that never import higher ones', () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ file, from, specifier }) => {
        const target = layerOf(posix.normalize(posix.join(posix.dirname(file), specifier)));
        return { file, from, target };
      })
      .filter(({ from, target }) => from !== target && !mayImport[from]?.includes(target));
    expect(wrong).toEqual([]);
  });

  it('has one door to the operating system', () => {
    const wrong = imports.filter(
      ({ from, specifier }) =>
        systemModules.includes(specifier) && !['io', 'cli', 'testing'].includes(from),
    );
    expect(wrong).toEqual([]);
  });

  it('takes nothing at run time but Node itself', () => {
    const packages = imports.filter(
      ({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'),
    );
    // An optional peer, behind a door of its own.
    expect(packages.map(({ file, specifier }) => `${file}: ${specifier}`)).toEqual([
      'kv/store/varve-level.ts: abstract-level',
    ]);
    const manifest = readFileSync(join(dirname(source), 'package.json'), 'utf8');
    expect(JSON.parse(manifest)).not.toHaveProperty('dependencies');
  });

  it('keeps folders flat, without index files', () => {
    const wrong = sourceFiles().filter(
      (file) => file.split('/').length > 3 || (file.includes('/') && file.endsWith('/index.ts')),
    );
    expect(wrong).toEqual([]);
  });

  it('has no folder outside the table', () => {
    const folders = new Set(files.map(layerOf));
    expect([...folders].filter((folder) => !(folder in mayImport))).toEqual([]);
  });

  it('keeps each durable format beside its page', () => {
    for (const folder of ['journal', 'log', 'kv/store', 'kv/sstable', 'kv/manifest']) {
      expect(files).toContain(`${folder}/format.ts`);
    }
  });
});
