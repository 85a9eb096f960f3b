/** Names of the options of each call: a misspelt one must not pass as its default. */
const writeNames = ['ack', 'position', 'signal'];
export const rangeNames: readonly string[] = ['gte', 'gt', 'lte', 'lt', 'prefix'];

type Call = 'put' | 'delete' | 'batch' | 'rename' | 'ingest' | 'iterate' | 'verify';

export const optionNames: Readonly<Record<Call, ReadonlySet<string>>> = {
  put: new Set([...writeNames, 'ifAbsent', 'ifVersion']),
  delete: new Set([...writeNames, 'ifVersion']),
  batch: new Set([...writeNames, 'guards']),
  rename: new Set([...writeNames, 'prefix', 'overwrite']),
  ingest: new Set(['position']),
  iterate: new Set([
    ...rangeNames,
    'reverse',
    'limit',
    'keysOnly',
    'snapshot',
    'borrow',
    'keepOpen',
  ]),
  verify: new Set(['onProgress', 'signal']),
};
