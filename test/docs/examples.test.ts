/** The example programs do what they say. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

function linesOf(name: string): string[] {
  const path = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [path], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.trimEnd().split('\n');
}

describe('examples', () => {
  it('has a tour of the key-value store', () => {
    expect(linesOf('kv-tour.js')).toEqual([
      'put, get, delete',
      '  users/7 = Ada — written at version 1',
      '  users/7 = undefined after delete',
      'a batch is applied whole or not at all, and only if its guards hold',
      '  CONDITION_FAILED — expected version 3',
      '  accounts/ada = 60',
      '  accounts/bob = 30',
      'ranges, forwards and backwards',
      '  the last three: n/099 n/098 n/097',
      '  behind 041, up to 043: n/042 n/043',
      'keys as paths',
      '  prefix photos/2025/',
      '  prefix photos/2026/',
      '  key    photos/index',
      '  renamed 2 keys; photos/ has 2 now',
      'a snapshot stays as it is',
      '  n/ has 0 keys, in the snapshot 100',
      'a backup is a store of its own',
      '  the copy knows accounts/bob = 30',
      'after closing and opening: accounts/ada = 60',
      'verified: true — every block of every table',
    ]);
  });

  it('has the metadata of an object store', () => {
    expect(linesOf('object-metadata.js')).toEqual([
      'put if there is none',
      '  first: stored',
      '  second: there is one already (412)',
      'list by delimiter, two lines a page',
      '  page: 2025/  2026/',
      '  page: cat.jpg  index.html',
      'a multipart upload',
      '  before: undefined',
      '  completed twice at once: true, false',
      "  after: { size: 100, etag: 'bc-2', parts: 2 }",
      '  left of the upload: 0 keys',
    ]);
  });
});
