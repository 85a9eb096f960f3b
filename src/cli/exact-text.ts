/** Text from bytes that a caller gives, as it stands there. */
import { TextProblem } from './text-problem.ts';

const BYTE_ORDER_MARK = '\uFEFF';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws `TextProblem` where other decoders would put U+FFFD. A byte order mark stays where it is. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new TextProblem('is not UTF-8', { cause });
  }
}

/** True if the text begins with the mark that some editors put in front of a file. */
export function hasByteOrderMark(text: string): boolean {
  return text.startsWith(BYTE_ORDER_MARK);
}
