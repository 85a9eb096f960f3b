/** A decompressing function of `node:zlib` that says how much of its input it has used. */
type Decompress = (
  stored: Uint8Array,
  options: { readonly maxOutputLength: number; readonly info: true },
) => { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };

/**
 * The `plainSize` plain bytes of one compressed stream that takes all of `stored`. Never produces more; throws if there are more or
 * fewer, if the stream is damaged or cut short (some versions of Node give nothing then, and no error), and if anything follows it.
 */
export function decompressWhole(
  decompress: unknown,
  stored: Uint8Array,
  plainSize: number,
): Uint8Array {
  const { buffer, engine } = (decompress as Decompress)(stored, {
    maxOutputLength: Math.max(plainSize, 1),
    info: true,
  });
  const rest = stored.length - engine.bytesWritten;
  if (rest !== 0) {
    throw new RangeError(`${rest} bytes follow the compressed stream`);
  }
  if (buffer.length !== plainSize) {
    throw new RangeError(`the stream holds ${buffer.length} bytes instead of ${plainSize}`);
  }
  return buffer;
}
