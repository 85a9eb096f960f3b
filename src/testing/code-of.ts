import { systemCode } from '../base/errors.ts';

/** The code of the error that `action` throws, 'no code' if it has none, undefined if nothing is thrown. */
export function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return systemCode(error) ?? 'no code';
  }
}

/** The same for a promise that is rejected. */
export async function codeOfAsync(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return systemCode(error) ?? 'no code';
  }
}
