/** What callers of a store hear when a call fails. */
import { asFailedWrite, VarveError, withoutApplied } from '../../base/errors.ts';

/** What is wrong with a call that writes also says whether it took effect: not, if nobody has said otherwise. */
export async function writing(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    throw asFailedWrite(error, 'no');
  }
}

/** Tables and manifests fail with a word on whether they took effect, which says nothing of any write of a caller's. */
export async function notWriting(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw error instanceof VarveError ? withoutApplied(error) : error;
  }
}
