/** What is published holds what it speaks of. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = new URL('../..', import.meta.url);

interface Packed {
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

function pack(): Packed {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: fileURLToPath(root),
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  return (JSON.parse(stdout) as Packed[])[0]!;
}

const packed = pack();
const paths = new Set(packed.files.map(({ path }) => path));

/** Of a file and a relative reference in it. */
function resolve(from: string, to: string): string {
  return decodeURI(new URL(to, `file:///${from}`).pathname.slice(1));
}

describe('the package', () => {
  it('holds every page and program that its pages link to', () => {
    const pages = [...paths].filter((path) => path.endsWith('.md'));
    expect(pages).toContain('docs/guarantees.md');
    const missing = pages.flatMap((page) => {
      const text = readFileSync(new URL(page, root), 'utf8');
      const links = Array.from(text.matchAll(/\]\((?!\w+:)([^)#]+)/g), ([, link]) => link!);
      return links
        .map((link) => resolve(page, link))
        .filter((path) => !paths.has(path) && ![...paths].some((one) => one.startsWith(`${path}/`)))
        .map((path) => `${page}: ${path}`);
    });
    expect(missing).toEqual([]);
  });

  it('holds the sources that its source maps name', () => {
    const maps = [...paths].filter((path) => path.endsWith('.map'));
    expect(maps.length).toBeGreaterThan(100);
    const missing = maps.flatMap((map) => {
      const { sources } = JSON.parse(readFileSync(new URL(map, root), 'utf8')) as {
        readonly sources: readonly string[];
      };
      return sources.map((source) => resolve(map, source)).filter((path) => !paths.has(path));
    });
    expect(missing).toEqual([]);
  });

  it('holds no tests, and is no larger than it must be', () => {
    expect([...paths].filter((path) => /\.test\.|-sample\.|(^|\/)test\//.test(path))).toEqual([]);
    expect(packed.unpackedSize).toBeLessThan(8 * 1024 * 1024);
  });

  it('finds each door’s types for compilers that do not know its exports', () => {
    const { exports, typesVersions } = JSON.parse(
      readFileSync(new URL('package.json', root), 'utf8'),
    ) as {
      readonly exports: Record<string, { readonly types?: string }>;
      readonly typesVersions: { readonly '*': Record<string, readonly string[]> };
    };
    const doors = Object.entries(exports).filter(
      ([name, { types }]) => name !== '.' && types !== undefined,
    );
    expect(typesVersions['*']).toEqual(
      Object.fromEntries(doors.map(([name, { types }]) => [name.slice(2), [types]])),
    );
    for (const [, { types }] of doors) {
      expect(existsSync(new URL(types!, root))).toBe(true);
    }
  });
});
