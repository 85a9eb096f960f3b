/**
 * A tour of the key-value store: writes, reads, listings, snapshots, a rename, a backup. `npm run build` first, then
 * `node examples/kv-tour.js [folder]`; without a folder it uses a temporary one and removes it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKv } from 'varve/kv';

const given = process.argv[2];
const folder = given ?? mkdtempSync(join(tmpdir(), 'varve-kv-tour-'));
const text = (bytes) => bytes && Buffer.from(bytes).toString();

let kv = await openKv(join(folder, 'kv'));
try {
  console.log('put, get, delete');
  const version = await kv.put('users/7', 'Ada'); // on disk when this resolves
  console.log('  users/7 =', text(kv.getSync('users/7')), '— written at version', version);
  await kv.delete('users/7');
  console.log('  users/7 =', kv.getSync('users/7'), 'after delete');

  console.log('a batch is applied whole or not at all, and only if its guards hold');
  await kv.batch(
    [
      { type: 'put', key: 'accounts/ada', value: '70' },
      { type: 'put', key: 'accounts/bob', value: '30' },
    ],
    { guards: [{ prefix: 'accounts/', empty: true }] },
  );
  const ada = kv.getEntrySync('accounts/ada');
  await kv.put('accounts/ada', '60'); // somebody else was faster
  try {
    await kv.batch(
      [
        { type: 'put', key: 'accounts/ada', value: '50' },
        { type: 'put', key: 'accounts/bob', value: '50' },
      ],
      { guards: [{ key: 'accounts/ada', version: ada.version }] },
    );
  } catch (error) {
    console.log(' ', error.code, '— expected version', error.details.expected);
  }
  for (const [key, value] of kv.iterateSync({ prefix: 'accounts/' })) {
    console.log(' ', text(key), '=', text(value));
  }

  console.log('ranges, forwards and backwards');
  await kv.batch(
    Array.from({ length: 100 }, (_, n) => {
      return { type: 'put', key: `n/${String(n).padStart(3, '0')}`, value: String(n * n) };
    }),
  );
  const last = Array.from(kv.iterateSync({ prefix: 'n/', reverse: true, limit: 3 }), ([key]) =>
    text(key),
  );
  console.log('  the last three:', last.join(' '));
  const middle = kv.iterateSync({ gt: 'n/041', lte: 'n/043', keysOnly: true });
  console.log('  behind 041, up to 043:', Array.from(middle, text).join(' '));

  console.log('keys as paths');
  await kv.batch(
    ['photos/2025/a.jpg', 'photos/2025/b.jpg', 'photos/2026/c.jpg', 'photos/index'].map((key) => {
      return { type: 'put', key, value: 'picture' };
    }),
  );
  for (const entry of kv.list('photos/', { delimiter: '/' })) {
    console.log(' ', entry.type.padEnd(6), text(entry.prefix ?? entry.key));
  }
  const renamed = await kv.rename('photos/2025/', 'archive/2025/', { prefix: true });
  console.log('  renamed', renamed, 'keys; photos/ has', (await kv.count('photos/')).count, 'now');

  console.log('a snapshot stays as it is');
  const snapshot = kv.snapshot();
  await kv.deleteRange({ prefix: 'n/' });
  const count = (options) => Array.from(kv.iterateSync({ prefix: 'n/', ...options })).length;
  console.log('  n/ has', count(), 'keys, in the snapshot', count({ snapshot }));
  snapshot.close();

  console.log('a backup is a store of its own');
  await kv.backup(join(folder, 'backup'));
  const copy = await openKv(join(folder, 'backup'));
  console.log('  the copy knows accounts/bob =', text(copy.getSync('accounts/bob')));
  await copy.close();

  await kv.close();
  kv = await openKv(join(folder, 'kv'));
  console.log('after closing and opening: accounts/ada =', text(kv.getSync('accounts/ada')));
  const { ok, tables } = await kv.verify();
  console.log('verified:', ok, '—', tables > 0 ? 'every block of every table' : 'no tables yet');
} finally {
  await kv.close();
  if (given === undefined) {
    rmSync(folder, { recursive: true });
  }
}
