/**
 * The metadata of an object store over path keys: conditional puts, listings by delimiter in pages, multipart uploads that
 * become visible at once. The objects' bytes are somebody else's business. `npm run build` first, then
 * `node examples/object-metadata.js`.
 *
 *   o/<bucket>/<name>             an object: { size, etag, parts? }
 *   u/<upload>/<part, 5 digits>   a part of an upload that isn't complete
 *   u/<upload>/!                  the upload: { bucket, name }; it sorts before its parts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKv } from 'varve/kv';

const text = (bytes) => Buffer.from(bytes).toString();
const objectKey = (bucket, name) => `o/${bucket}/${name}`;
const partKey = (upload, number) => `u/${upload}/${String(number).padStart(5, '0')}`;

class ObjectMetadata {
  #kv;

  constructor(kv) {
    this.#kv = kv;
  }

  /** `ifNoneMatch`: only if there is no such object (S3's `If-None-Match: *`). False if there is one. */
  async put(bucket, name, facts, { ifNoneMatch = false } = {}) {
    try {
      await this.#kv.put(objectKey(bucket, name), facts, { ifAbsent: ifNoneMatch });
      return true;
    } catch (error) {
      if (error.code === 'CONDITION_FAILED') {
        return false;
      }
      throw error;
    }
  }

  /** One page of a listing: objects, and what begins alike up to the delimiter as one line. */
  list(bucket, prefix, { delimiter, after, limit = 1000 } = {}) {
    const root = objectKey(bucket, '');
    const lines = this.#kv.list(root + prefix, {
      limit: limit + 1, // one more tells whether there is a next page
      ...(delimiter && { delimiter }),
      ...(after !== undefined && { after: root + after }),
    });
    const names = Array.from(lines, (line) => text(line.prefix ?? line.key).slice(root.length));
    const page = names.slice(0, limit);
    return { page, next: names.length > limit ? page.at(-1) : undefined };
  }

  async begin(upload, bucket, name) {
    await this.#kv.put(`u/${upload}/!`, { bucket, name }, { ifAbsent: true });
  }

  /** Only while the upload is open; part numbers may come in any order, and again. */
  async addPart(upload, number, facts) {
    const begun = this.#kv.getEntrySync(`u/${upload}/!`);
    if (begun === undefined) {
      throw new Error(`There is no upload ${upload}.`);
    }
    await this.#kv.batch([{ type: 'put', key: partKey(upload, number), value: facts }], {
      guards: [{ key: begun.key, version: begun.version }],
    });
  }

  /**
   * One batch: the object appears with all its parts, and the upload is gone. A batch may have to wait for room, and others come
   * before it then: its guards hold it to what was read here. False if there is no such upload, or not any more.
   */
  async complete(upload) {
    const begun = this.#kv.getEntrySync(`u/${upload}/!`);
    if (begun === undefined) {
      return false;
    }
    const parts = [...this.#kv.list(`u/${upload}/`, { after: begun.key })];
    const { bucket, name } = begun.value;
    const size = parts.reduce((sum, { value }) => sum + value.size, 0);
    const etag = `${parts.map(({ value }) => value.etag).join('')}-${parts.length}`;
    await this.#kv.batch(
      [
        { type: 'put', key: objectKey(bucket, name), value: { size, etag, parts: parts.length } },
        { type: 'deleteRange', prefix: `u/${upload}/` },
      ],
      { guards: [begun, ...parts].map(({ key, version }) => ({ key, version })) },
    );
    return true;
  }

  get(bucket, name) {
    return this.#kv.getSync(objectKey(bucket, name));
  }
}

const folder = mkdtempSync(join(tmpdir(), 'varve-object-metadata-'));
const kv = await openKv(folder, { values: 'json' });
try {
  const objects = new ObjectMetadata(kv);

  console.log('put if there is none');
  const facts = { size: 5, etag: 'aa' };
  for (const attempt of ['first', 'second']) {
    const isNew = await objects.put('photos', 'cat.jpg', facts, { ifNoneMatch: true });
    console.log(`  ${attempt}: ${isNew ? 'stored' : 'there is one already (412)'}`);
  }

  console.log('list by delimiter, two lines a page');
  const names = ['2025/a.jpg', '2025/b.jpg', '2026/01/c.jpg', '2026/02/d.jpg', 'index.html'];
  await Promise.all(names.map((name) => objects.put('photos', name, facts)));
  let after;
  do {
    const { page, next } = objects.list('photos', '', { delimiter: '/', after, limit: 2 });
    console.log('  page:', page.join('  '));
    after = next;
  } while (after !== undefined);

  console.log('a multipart upload');
  await objects.begin('u1', 'photos', 'film.mp4');
  await objects.addPart('u1', 2, { size: 30, etag: 'c' });
  await objects.addPart('u1', 1, { size: 70, etag: 'b' });
  console.log('  before:', objects.get('photos', 'film.mp4'));
  const outcomes = await Promise.all([objects.complete('u1'), objects.complete('u1')]);
  console.log('  completed twice at once:', outcomes.join(', '));
  console.log('  after:', objects.get('photos', 'film.mp4'));
  console.log('  left of the upload:', (await kv.count('u/u1/')).count, 'keys');
} finally {
  await kv.close();
  rmSync(folder, { recursive: true });
}
