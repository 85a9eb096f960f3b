import { VarveError } from '../../base/errors.ts';
import { successorOfPrefix } from '../../radix/path.ts';
import { makeFound } from '../entries/cursor.ts';
import type { Tree } from '../tree/tree.ts';
import type { PreparedGuard } from './pending-batch.ts';

/** Why a batch with these guards may not be applied now, or undefined if it may. A version of 0 is that of no entry. */
export function guardRefusal(
  tree: Tree,
  sequence: number,
  guards: readonly PreparedGuard[],
): VarveError | undefined {
  for (const guard of guards) {
    if (guard.kind === 'empty') {
      if (!isEmptyPrefix(tree, sequence, guard.prefix)) {
        return refused(guard.prefix, 'There are keys that begin with', {});
      }
      continue;
    }
    const actual = versionOf(tree, sequence, guard.key);
    const expected = guard.kind === 'absent' ? 0 : guard.version;
    if (actual !== expected) {
      const what = expected === 0 ? 'There is an entry' : `Not at version ${expected}: the entry`;
      return refused(guard.key, what, { expected, actual });
    }
  }
  return undefined;
}

const found = makeFound();

function versionOf(tree: Tree, sequence: number, key: Uint8Array): number {
  return tree.get(key, sequence, found) ? found.sequence : 0;
}

function isEmptyPrefix(tree: Tree, sequence: number, prefix: Uint8Array): boolean {
  const entries = tree.entries({ start: prefix, end: successorOfPrefix(prefix) }, sequence);
  try {
    return !entries.next();
  } finally {
    entries.close();
  }
}

function refused(
  key: Uint8Array,
  what: string,
  versions: { readonly expected?: number; readonly actual?: number },
): VarveError {
  const shown = JSON.stringify(Buffer.from(key.subarray(0, 200)).toString('utf8'));
  return new VarveError(
    'CONDITION_FAILED',
    `${what} ${shown}: nothing was changed; read again and retry.`,
    { applied: 'no', details: { key: new Uint8Array(key), ...versions } },
  );
}
